import { Inject, Injectable } from '@nestjs/common';
import { z } from 'zod';
import { isSessionOf, UserRepository } from '#accounts';
import type { Origin } from '#contracts';
import type { GuardStore } from '#guard';
import type { ClientView, ServiceClientStore } from '#service-clients';
import { Refusals } from '../audit-trail/refusals.js';
import { UserEvents } from '../audit-trail/user-events.js';
import { GUARD } from '../face/guard.module.js';
import { Problem } from '../http/problem.js';
import type { SessionRecord } from '../sessions/session-record.js';
import { SessionService } from '../sessions/session.service.js';
import { ClientThrottle } from './client-throttle.js';
import { SeenSessions } from './seen-sessions.js';

export const SERVICE_CLIENTS = Symbol('service clients');

const clientIdSchema = z.uuid();

@Injectable()
export class ClientsService {
  constructor(
    @Inject(SERVICE_CLIENTS) private readonly clients: ServiceClientStore,
    private readonly throttle: ClientThrottle,
    private readonly refusals: Refusals,
  ) {}

  /**
   * Unknown, wrong, expired and disabled are one answer. A right credential is never asked to wait for what others did,
   * and who brings none guesses nothing.
   */
  async authenticate(given: { clientId: string; secret: string } | null, origin: Origin): Promise<ClientView> {
    if (given === null) throw new Problem('invalid_client');
    const clientId = clientIdSchema.safeParse(given.clientId).data;
    const found = clientId ? await this.clients.verify(clientId, given.secret) : null;
    if (!found?.isGenuine) {
      // Only a client there is: invented ids must not become entries of their own.
      const whose = { userId: null, origin, clientId: found?.client.clientId };
      this.refusals.record('client_secret', 'wrong_credential', whose);
      await this.throttle.countWrong(origin.ipAddress);
      throw new Problem('invalid_client');
    }
    await this.throttle.countAsked(found.client.clientId);
    return found.client;
  }
}

/** What a relying application is told of a session. */
@Injectable()
export class IntrospectionService {
  constructor(
    private readonly sessions: SessionService,
    private readonly users: UserRepository,
    @Inject(GUARD) private readonly guard: GuardStore,
    private readonly seen: SeenSessions,
    private readonly events: UserEvents,
  ) {}

  /**
   * The live session of a token, null for everything else. The account is read each time, so that an ended session that
   * Redis revived, or one of a disabled account, is not called alive. Asking counts as use: the session is not idle.
   */
  async find(token: string, client: ClientView): Promise<SessionRecord | null> {
    const record = (await this.sessions.find(token))?.record;
    if (!record) return null;
    const [user, summary] = await Promise.all([this.users.findById(record.userId), this.guard.summary(record.userId)]);
    if (!user || !isSessionOf(user, record) || summary?.state !== 'active') return null;
    const { clientId } = client;
    if (await this.seen.isFirst(record.sessionId, clientId)) {
      await this.events.append(record.userId, 'introspected', { sessionId: record.sessionId }, { clientId });
    }
    return record;
  }
}
