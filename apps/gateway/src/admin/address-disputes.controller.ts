import { Body, Controller, HttpCode, Param, Post } from '@nestjs/common';
import { z } from 'zod';
import { AddressDisputes, UserRepository, type UserRow } from '#accounts';
import { identityProofSchema, type Origin } from '#contracts';
import { Accepts } from '../http/accepts.js';
import { Answers } from '../http/answers.js';
import { RequestOrigin } from '../http/origin.js';
import { Problem } from '../http/problem.js';
import { CurrentUser } from '../http/session.guard.js';

const userParams = z.strictObject({ id: z.uuid() });
const proof = identityProofSchema.meta({ description: 'How it was made sure who the person is' });
const decideSchema = z.strictObject({
  keep: z
    .enum(['current', 'other'])
    .meta({ description: 'The address that the account has, or the one that objected' }),
  proof,
});

/** Whose account it is: what staff say where mailboxes cannot. */
@Controller('v1/admin/users/:id/email')
export class AddressDisputesController {
  constructor(
    private readonly disputes: AddressDisputes,
    private readonly users: UserRepository,
  ) {}

  @Post('decide')
  @HttpCode(204)
  @Accepts({ params: userParams, body: decideSchema })
  @Answers({
    summary: 'Decides between two mailboxes that claim an account; its owner then has the password reset',
    errors: ['not_found', 'forbidden', 'not_contested'],
  })
  async decide(
    @CurrentUser() officer: UserRow,
    @Param() { id }: z.infer<typeof userParams>,
    @Body() { keep, proof: shown }: z.infer<typeof decideSchema>,
    @RequestOrigin() origin: Origin,
  ): Promise<void> {
    if (id === officer._id) throw new Problem('forbidden');
    const account = await this.users.findById(id);
    if (!account) throw new Problem('not_found');
    const decided = await this.disputes.decide(account, { keep, proof: shown, actorId: officer._id }, origin);
    if (!decided) throw new Problem('not_contested');
  }
}
