import { randomUUID } from 'node:crypto';
import { Body, Controller, Inject, Put } from '@nestjs/common';
import { z } from 'zod';
import { actionSchema, ACTIONS, GESTURES_MIN, type Origin } from '#contracts';
import type { GuardStore } from '#guard';
import { AuditNudge } from '../audit-trail/audit-nudge.js';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';
import { Accepts } from '../http/accepts.js';
import { Answers } from '../http/answers.js';
import { RequestOrigin } from '../http/origin.js';
import { Problem } from '../http/problem.js';
import { type Principal } from '../http/principal.js';
import { CurrentSession } from '../http/session.guard.js';
import { GUARD } from './guard.module.js';

const preferencesSchema = z.strictObject({
  optOuts: z
    .array(actionSchema)
    .max(ACTIONS.length)
    .transform((actions) => [...new Set(actions)])
    .refine((actions) => ACTIONS.length - actions.length >= GESTURES_MIN),
  extraTime: z.boolean(),
  /** Three steps however few gestures are left: fewer sequences to guess, or to have recorded. */
  shortChallenges: z.boolean().default(false),
});

const preferencesAnswer = z.strictObject({
  optOuts: z.array(actionSchema),
  extraTime: z.boolean(),
  shortChallenges: z.boolean(),
});

@Controller('v1/face/preferences')
export class PreferencesController {
  constructor(
    @Inject(GUARD) private readonly guard: GuardStore,
    @Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig,
    private readonly nudge: AuditNudge,
  ) {}

  @Put()
  @Accepts({ body: preferencesSchema })
  @Answers({
    summary: 'Gestures one cannot make, extra time, and short challenges',
    schema: preferencesAnswer,
    errors: ['account_inactive', 'short_challenges_forbidden'],
  })
  async put(
    @CurrentSession() session: Principal,
    @Body() body: z.infer<typeof preferencesSchema>,
    @RequestOrigin() origin: Origin,
  ): Promise<z.infer<typeof preferencesAnswer>> {
    if (body.shortChallenges && this.config.SHORT_CHALLENGES === 'forbidden')
      throw new Problem('short_challenges_forbidden');
    const outcome = await this.guard.setPreferences(session.record.userId, body, origin, randomUUID());
    if (outcome.kind === 'not_found') throw new Problem('unauthenticated');
    this.nudge.drain(session.record.userId);
    const { optOuts, extraTime, shortChallenges } = outcome.summary;
    return { optOuts, extraTime, shortChallenges };
  }
}
