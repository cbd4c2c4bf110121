import { randomUUID } from 'node:crypto';
import { Body, Controller, Delete, Get, HttpCode, Inject, Put } from '@nestjs/common';
import { z } from 'zod';
import type { Origin } from '#contracts';
import type { GuardStore } from '#guard';
import { AuditNudge } from '../audit-trail/audit-nudge.js';
import { guardOf } from '../face/authority.js';
import { GUARD } from '../face/guard.module.js';
import { TemplateRepository } from '../face/template.repository.js';
import { Accepts } from '../http/accepts.js';
import { Answers } from '../http/answers.js';
import { RequestOrigin } from '../http/origin.js';
import { Problem } from '../http/problem.js';
import { type Principal } from '../http/principal.js';
import { CurrentSession } from '../http/session.guard.js';
import { ConsentRepository } from './consent.repository.js';
import { CURRENT_CONSENT } from './consent-text.js';

const consentSchema = z.strictObject({ version: z.string().max(40), textSha256: z.string().regex(/^[0-9a-f]{64}$/) });

const consentViewSchema = z
  .strictObject({
    version: z.string(),
    text: z.string(),
    textSha256: z.string(),
    given: z.string().nullable().meta({ description: 'The version this account agreed to.' }),
  })
  .meta({ id: 'Consent' });
type ConsentView = z.infer<typeof consentViewSchema>;

@Controller('v1/face/consent')
export class ConsentController {
  constructor(
    @Inject(GUARD) private readonly guard: GuardStore,
    private readonly consents: ConsentRepository,
    private readonly templates: TemplateRepository,
    private readonly nudge: AuditNudge,
  ) {}

  @Get()
  @Answers({
    summary: 'The text in force, and what was agreed to',
    schema: consentViewSchema,
    safe: true,
    errors: ['account_inactive'],
  })
  async get(@CurrentSession() session: Principal): Promise<ConsentView> {
    return { ...CURRENT_CONSENT, given: (await guardOf(this.guard, session)).consentVersion };
  }

  /** Names the text by its hash: one agrees to what one was shown, not to whatever is current by now. */
  @Put()
  @Accepts({ body: consentSchema })
  @Answers({
    summary: 'Agrees to the text that was shown',
    schema: consentViewSchema,
    errors: ['account_inactive', 'consent_outdated', 'erasure_pending'],
  })
  async put(
    @CurrentSession() session: Principal,
    @Body() body: z.infer<typeof consentSchema>,
    @RequestOrigin() origin: Origin,
  ): Promise<ConsentView> {
    if (body.version !== CURRENT_CONSENT.version || body.textSha256 !== CURRENT_CONSENT.textSha256) {
      throw new Problem('consent_outdated', { extras: { version: CURRENT_CONSENT.version } });
    }
    // A face that goes at the request for erasure does not come back while it waits.
    if (session.user?.erasure) throw new Problem('erasure_pending');
    const { userId } = session.record;
    const { consentVersion } = await guardOf(this.guard, session);
    if (consentVersion !== CURRENT_CONSENT.version) {
      await this.consents.insert(userId, { version: body.version, textSha256: body.textSha256 });
      await this.guard.change(userId, { kind: 'consent_given', version: body.version }, origin, randomUUID());
      this.nudge.drain(userId);
    }
    return { ...CURRENT_CONSENT, given: CURRENT_CONSENT.version };
  }

  /** As easy as giving it: no higher level is asked for. The account still demands a face for protected actions. */
  @Delete()
  @HttpCode(204)
  @Answers({ summary: 'Withdraws consent and destroys the template', errors: ['account_inactive'] })
  async delete(@CurrentSession() session: Principal, @RequestOrigin() origin: Origin): Promise<void> {
    const { userId } = session.record;
    await guardOf(this.guard, session);
    await this.guard.change(userId, { kind: 'consent_withdrawn' }, origin, randomUUID());
    await this.templates.deleteAllOf(userId);
    await this.consents.markWithdrawn(userId);
    this.nudge.drain(userId);
  }
}
