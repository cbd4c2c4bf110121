import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { z } from 'zod';
import { acrSchema, amrSchema, type Origin } from '#contracts';
import type { ClientView } from '#service-clients';
import { Accepts } from '../http/accepts.js';
import { Answers } from '../http/answers.js';
import { RequestOrigin } from '../http/origin.js';
import { type Principal } from '../http/principal.js';
import { CurrentSession } from '../http/session.guard.js';
import { ClientTokens } from '../sessions/client-tokens.js';
import { levelsOf, sessionTimes } from '../sessions/session-record.js';
import { CurrentClient } from './client.guard.js';
import { ClientsService, IntrospectionService } from './clients.service.js';

const introspectSchema = z.strictObject({ token: z.string().min(1).max(1_024) });

const tokenSchema = z.strictObject({ clientId: z.uuid() });

const clientTokenSchema = z
  .strictObject({
    token: z
      .string()
      .meta({ description: 'For that client alone: it asks what this session is worth. Opens nothing.' }),
    expiresAt: z.iso.datetime(),
    clientId: z.uuid(),
  })
  .meta({ id: 'ClientToken' });

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
  constructor(
    private readonly introspection: IntrospectionService,
    private readonly clients: ClientsService,
    private readonly tokens: ClientTokens,
  ) {}

  /** Lives ten minutes and no longer than the session, whose level it shows also after that has got another token. */
  @Post('tokens')
  @Accepts({ body: tokenSchema })
  @Answers({
    summary: 'Makes a token by which one relying application asks about this session',
    schema: clientTokenSchema,
    errors: ['not_found', 'too_many_requests'],
  })
  async issue(@CurrentSession() session: Principal, @Body() { clientId }: z.infer<typeof tokenSchema>) {
    await this.clients.assertMayAsk(clientId);
    const { token, expiresAt } = await this.tokens.issue(session.record, clientId);
    return { token, expiresAt: new Date(expiresAt).toISOString(), clientId };
  }

  /** In the manner of RFC 7662: of a token that is no live session's nothing is told but that. */
  @Post('introspect')
  @HttpCode(200)
  @Accepts({ body: introspectSchema })
  @Answers({
    summary: 'What the session of a token is worth',
    schema: introspectionSchema,
    errors: ['invalid_client', 'too_many_requests'],
  })
  async introspect(
    @CurrentClient() client: ClientView,
    @Body() { token }: z.infer<typeof introspectSchema>,
    @RequestOrigin() origin: Origin,
  ) {
    const record = await this.introspection.find(token, client, origin);
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
