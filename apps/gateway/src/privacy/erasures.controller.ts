import { Body, Controller, Delete, Get, HttpCode, Param, Post } from '@nestjs/common';
import { z } from 'zod';
import type { UserRow } from '#accounts';
import { erasureRowSchema, type Origin } from '#contracts';
import { linkTokenSchema } from '../auth/link-token.js';
import { Accepts } from '../http/accepts.js';
import { Answers } from '../http/answers.js';
import { RequestOrigin } from '../http/origin.js';
import { Problem } from '../http/problem.js';
import { CurrentUser } from '../http/session.guard.js';
import { type Erasure, ErasureService } from './erasure.service.js';

const erasureParams = z.strictObject({ id: z.uuid() });

const receiptSchema = z
  .strictObject({
    erasureId: z.uuid(),
    state: z.enum(['held', ...erasureRowSchema.shape.state.options]),
    requestedAt: z.iso.datetime(),
    dueAt: z.iso.datetime().optional().meta({ description: 'While it waits: until when it can be stopped.' }),
    completedAt: z.iso.datetime().optional(),
  })
  .meta({ id: 'Erasure' });
type Receipt = z.infer<typeof receiptSchema>;

@Controller('v1/privacy')
export class ErasuresController {
  constructor(private readonly erasures: ErasureService) {}

  /** The subject is whoever is signed in: no path names another. */
  @Post('erasures')
  @HttpCode(202)
  @Answers({
    summary: 'Erases everything biometric at once, and the account when the hold is over',
    schema: receiptSchema,
    errors: ['last_admin'],
    idempotent: true,
  })
  async request(@CurrentUser() user: UserRow, @RequestOrigin() origin: Origin): Promise<Receipt> {
    return receipt(await this.erasures.request(user, origin));
  }

  @Delete('erasures')
  @HttpCode(204)
  @Answers({ summary: 'Stops an erasure that waits', errors: ['not_found'] })
  async cancel(@CurrentUser() user: UserRow, @RequestOrigin() origin: Origin): Promise<void> {
    await this.erasures.cancel(user, origin);
  }

  @Post('cancel-erasure')
  @HttpCode(204)
  @Accepts({ body: linkTokenSchema })
  @Answers({ summary: 'Stops an erasure by the token mailed to the account', errors: ['token_invalid'] })
  async cancelByLink(
    @Body() { token }: z.infer<typeof linkTokenSchema>,
    @RequestOrigin() origin: Origin,
  ): Promise<void> {
    await this.erasures.cancelByLink(token, origin);
  }

  /** The session is gone by the end: whoever holds the receipt's random id may ask. It says nothing about whom. */
  @Get('erasures/:id')
  @Accepts({ params: erasureParams })
  @Answers({
    summary: 'How far an erasure is; one that was stopped is not found',
    schema: receiptSchema,
    safe: true,
    errors: ['not_found'],
  })
  async state(@Param() { id }: z.infer<typeof erasureParams>): Promise<Receipt> {
    const erasure = await this.erasures.find(id);
    if (!erasure) throw new Problem('not_found');
    return receipt(erasure);
  }
}

const receipt = ({ id, state, requestedAt, dueAt, completedAt }: Erasure): Receipt => ({
  erasureId: id,
  state,
  requestedAt: requestedAt.toISOString(),
  ...(state === 'held' && dueAt ? { dueAt: dueAt.toISOString() } : {}),
  ...(completedAt ? { completedAt: completedAt.toISOString() } : {}),
});
