import { randomUUID } from 'node:crypto';
import { Body, Controller, Inject, Put } from '@nestjs/common';
import { z } from 'zod';
import { actionSchema, ACTIONS, type Origin } from '#contracts';
import type { GuardStore } from '#guard';
import { AuditNudge } from '../audit-trail/audit-nudge.js';
import { Accepts } from '../http/accepts.js';
import { Answers } from '../http/answers.js';
import { RequestOrigin } from '../http/origin.js';
import { Problem } from '../http/problem.js';
import { type Principal } from '../http/principal.js';
import { CurrentSession } from '../http/session.guard.js';
import { GUARD } from './guard.module.js';

const GESTURES_LEFT_MIN = 2;

const preferencesSchema = z.strictObject({
  optOuts: z
    .array(actionSchema)
    .max(ACTIONS.length)
    .transform((actions) => [...new Set(actions)])
    .refine((actions) => ACTIONS.length - actions.length >= GESTURES_LEFT_MIN),
  extraTime: z.boolean(),
});

const preferencesAnswer = z.strictObject({ optOuts: z.array(actionSchema), extraTime: z.boolean() });

@Controller('v1/face/preferences')
export class PreferencesController {
  constructor(
    @Inject(GUARD) private readonly guard: GuardStore,
    private readonly nudge: AuditNudge,
  ) {}

  @Put()
  @Accepts({ body: preferencesSchema })
  @Answers({
    summary: 'Gestures one cannot make, and extra time',
    schema: preferencesAnswer,
    errors: ['account_inactive'],
  })
  async put(
    @CurrentSession() session: Principal,
    @Body() body: z.infer<typeof preferencesSchema>,
    @RequestOrigin() origin: Origin,
  ): Promise<z.infer<typeof preferencesSchema>> {
    const outcome = await this.guard.setPreferences(session.record.userId, body, origin, randomUUID());
    if (outcome.kind === 'not_found') throw new Problem('unauthenticated');
    this.nudge.drain(session.record.userId);
    return { optOuts: outcome.summary.optOuts, extraTime: outcome.summary.extraTime };
  }
}
