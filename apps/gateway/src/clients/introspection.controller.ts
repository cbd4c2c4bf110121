import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { z } from 'zod';
import { acrSchema, amrSchema } from '#contracts';
import type { ClientView } from '#service-clients';
import { Accepts } from '../http/accepts.js';
import { Answers } from '../http/answers.js';
import { levelsOf, sessionTimes } from '../sessions/session-record.js';
import { CurrentClient } from './client.guard.js';
import { IntrospectionService } from './clients.service.js';

const introspectSchema = z.strictObject({ token: z.string().min(1).max(1_024) });

const introspectionSchema = z
  .discriminatedUnion('active', [
    z.strictObject({ active: z.literal(false) }),
    z.strictObject({
      active: z.literal(true),
      sub: z.uuid(),
      acr: acrSchema,
      amr: amrSchema,
      authTime: z.iso.datetime(),
      faceAuthTime: z.iso.datetime().nullable(),
      levels: z
        .array(z.strictObject({ acr: acrSchema, at: z.iso.datetime() }))
        .meta({ description: 'Every level that the session has, highest first, and when what gives it was shown.' }),
      clientId: z.uuid(),
    }),
  ])
  .meta({ id: 'Introspection' });

@Controller('v1/sessions')
export class IntrospectionController {
  constructor(private readonly introspection: IntrospectionService) {}

  /** In the manner of RFC 7662: of a token that is no live session's nothing is told but that. */
  @Post('introspect')
  @HttpCode(200)
  @Accepts({ body: introspectSchema })
  @Answers({
    summary: 'What a session is worth',
    schema: introspectionSchema,
    errors: ['invalid_client', 'too_many_requests'],
  })
  async introspect(@CurrentClient() client: ClientView, @Body() { token }: z.infer<typeof introspectSchema>) {
    const record = await this.introspection.find(token, client);
    if (!record) return { active: false as const };
    const levels = levelsOf(record);
    const [{ acr, amr }] = levels;
    return {
      active: true as const,
      sub: record.userId,
      acr,
      amr,
      ...sessionTimes(record),
      levels: levels.map(({ acr, at }) => ({ acr, at: new Date(at).toISOString() })),
      clientId: client.clientId,
    };
  }
}
