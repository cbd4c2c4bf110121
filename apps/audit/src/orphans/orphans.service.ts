import { Inject, Injectable } from '@nestjs/common';
import type { EventReason } from '#contracts';
import type { NewGuards } from '#guard';
import { AppLogger } from '#observability';
import { uuidOf } from '#sealing';
import { NEW_GUARDS } from '../guard-store.js';
import { LogWriter } from '../log/log-writer.js';
import { TurnsRepository } from '../turns.repository.js';
import { UsersRepository } from '../users.repository.js';
import { OrphanTemplatesRepository, type TemplateAt } from './templates.repository.js';

const GUARDS_EVERY_MS = 60_000;
const TEMPLATES_EVERY_MS = 15 * 60_000;
const PAGE = 500;
/** So many that have no account are gone over in one sweep. */
const WITHOUT_MAX = 20_000;

/**
 * Takes away what a killed process left: a guard whose account was never made, a template row that no guard names (of
 * an enrolment that did not come to its end, or the old one after an enrolment, a withdrawal, a "this was not me"). What
 * is found is noted first and goes ten minutes later, so that nothing is taken from somebody who is at work.
 */
@Injectable()
export class OrphansService {
  constructor(
    @Inject(NEW_GUARDS) private readonly guards: NewGuards,
    private readonly templates: OrphanTemplatesRepository,
    private readonly users: UsersRepository,
    private readonly turns: TurnsRepository,
    private readonly log: LogWriter,
    private readonly logger: AppLogger,
  ) {}

  async sweep(): Promise<void> {
    if (await this.turns.take('orphan_guards', GUARDS_EVERY_MS)) await this.sweepGuards();
    if (await this.turns.take('orphan_templates', TEMPLATES_EVERY_MS)) await this.sweepTemplates();
  }

  async sweepGuards(): Promise<void> {
    const without: string[] = [];
    let found: string[];
    do {
      found = await this.guards.find(PAGE, without);
      const withAccount = await this.users.existing(found);
      if (withAccount.size > 0) await this.guards.confirm([...withAccount]);
      const alone = found.filter((userId) => !withAccount.has(userId));
      // However many have to wait, those behind them are looked at.
      for (const userId of alone) without.push(userId);
      for (const { userId, since } of alone.length > 0 ? await this.guards.leaveAlone(alone) : []) {
        await this.attempt(userId, async () => {
          await this.record('orphan_guard', userId, since);
          await this.guards.remove(userId);
        });
      }
    } while (found.length === PAGE && without.length < WITHOUT_MAX);
  }

  async sweepTemplates(): Promise<void> {
    for (const day of await this.templates.days()) {
      let after = '';
      for (;;) {
        const page = await this.templates.page(day, after, PAGE);
        await this.sweepPage(page);
        const last = page.at(-1);
        if (!last || page.length < PAGE) break;
        after = last.templateId;
      }
    }
  }

  private async sweepPage(page: readonly TemplateAt[]): Promise<void> {
    const named = await this.templates.named(page.map(({ userId }) => userId));
    const orphans = page.filter(({ templateId }) => !named.has(templateId)).map(({ templateId }) => templateId);
    if (orphans.length === 0) return;
    for (const { templateId, since } of await this.templates.noteOrphans(orphans)) {
      await this.attempt(undefined, async () => {
        await this.record('orphan_template', templateId, since);
        await this.templates.removeOrphan(templateId);
      });
    }
  }

  private async attempt(userId: string | undefined, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (err) {
      this.logger.warn({ userId, err }, 'a leftover was not removed, the next sweep tries again');
    }
  }

  /** Before it goes; a repeat after a crash finds the entry there. Of nobody: there is no account that it was of. */
  private async record(reason: EventReason, id: string, timestamp: Date): Promise<void> {
    await this.log.append([{ eventId: uuidOf(`${reason}:${id}`), userId: null, type: 'pruned', reason, timestamp }]);
    this.logger.info({ state: reason }, 'a leftover was removed');
  }
}
