import { Body, Controller, HttpCode, Inject, Post } from '@nestjs/common';
import type { z } from 'zod';
import type { PendingDraft } from '#accounts';
import type { Origin } from '#contracts';
import type { GuardStore } from '#guard';
import { Refusals } from '../audit-trail/refusals.js';
import { linkTokenSchema } from '../auth/link-token.js';
import { GUARD } from '../face/guard.module.js';
import { TemplateRepository } from '../face/template.repository.js';
import { Accepts } from '../http/accepts.js';
import { Answers } from '../http/answers.js';
import { RequestOrigin } from '../http/origin.js';
import { CredentialRenewal } from '../sessions/credential-renewal.js';
import { NotMeRepository } from './not-me.repository.js';

/** "This was not me": what the owner of the mailbox can undo without signing in. */
@Controller('v1/security')
export class NotMeController {
  constructor(
    private readonly links: NotMeRepository,
    private readonly renewal: CredentialRenewal,
    private readonly templates: TemplateRepository,
    private readonly refusals: Refusals,
    @Inject(GUARD) private readonly guard: GuardStore,
  ) {}

  /**
   * Ends every session, bars the password until it is reset, stops a change of address and, if the mail was about an
   * enrolment or the face is still held, removes the face. All of it follows from one update of the account.
   */
  @Post('not-me')
  @HttpCode(204)
  @Accepts({ body: linkTokenSchema })
  @Answers({ summary: 'Undoes what a security mail told of, by its token', errors: ['token_invalid'] })
  async notMe(@Body() { token }: z.infer<typeof linkTokenSchema>, @RequestOrigin() origin: Origin): Promise<void> {
    const link = await this.links.find(token);
    const summary = link && (await this.guard.summary(link.userId));
    if (!link || !summary) throw this.refusals.ofLink('not_me', link, origin);
    const { userId } = link;
    const held = summary.heldUntil !== null && summary.heldUntil.getTime() > Date.now();
    const undoesFace = summary.enrolled && (held || link.template === 'face_enrolled');
    const follows = async (draft: PendingDraft): Promise<void> => {
      if (undoesFace) await draft.tell({ kind: 'unenrol' });
      await draft.event('session_ended', { detail: { by: 'not_me', mail: link.template } });
      draft.removeNotMeLinks();
    };
    if (!(await this.renewal.renew(userId, { by: 'not_me' }, origin, { follows })))
      throw this.refusals.ofLink('not_me', link, origin);
    // A template that nothing names any more is found by the audit service too.
    if (undoesFace) await this.templates.deleteAllOf(userId);
  }
}
