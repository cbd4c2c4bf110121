import { Inject, Injectable } from '@nestjs/common';
import { z } from 'zod';
import { isSessionOf, UserRepository } from '#accounts';
import type { Origin } from '#contracts';
import type { GuardStore } from '#guard';
import type { ClientView, ServiceClientStore } from '#service-clients';
import { Refusals } from '../audit-trail/refusals.js';
import { UserEvents } from '../audit-trail/user-events.js';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';
import { GUARD } from '../face/guard.module.js';
import { Problem } from '../http/problem.js';
import { ClientTokens, isClientToken } from '../sessions/client-tokens.js';
import type { SessionRecord } from '../sessions/session-record.js';
import { isSessionToken, SessionService } from '../sessions/session.service.js';
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

  /** Unknown, disabled and not allowed to ask are one answer. */
  async assertMayAsk(clientId: string): Promise<void> {
    const client = await this.clients.findEnabled(clientId);
    if (!client?.scopes.includes('introspect')) throw new Problem('not_found');
  }
}

/** What a relying application is told of a session. */
@Injectable()
export class IntrospectionService {
  constructor(
    @Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig,
    private readonly sessions: SessionService,
    private readonly tokens: ClientTokens,
    private readonly users: UserRepository,
    @Inject(GUARD) private readonly guard: GuardStore,
    private readonly seen: SeenSessions,
    private readonly events: UserEvents,
    private readonly refusals: Refusals,
  ) {}

  /**
   * The live session that a token stands for, null for everything else. The account is read each time, so that an ended
   * session that Redis revived, or one of a disabled account, is not called alive. Asking is no use: a page that nobody uses
   * any more ends as idle, however often applications ask.
   */
  async find(token: string, client: ClientView, origin: Origin): Promise<SessionRecord | null> {
    const record = isClientToken(token)
      ? await this.ofClientToken(token, client, origin)
      : await this.ofSessionToken(token, client, origin);
    if (!record) return null;
    const [user, summary] = await Promise.all([this.users.findById(record.userId), this.guard.summary(record.userId)]);
    if (!user || !isSessionOf(user, record) || summary?.state !== 'active') return null;
    const { clientId } = client;
    if (await this.seen.isFirst(record.sessionId, clientId)) {
      await this.events.append(record.userId, 'introspected', { sessionId: record.sessionId }, { clientId });
    }
    return record;
  }

  private async ofClientToken(token: string, { clientId }: ClientView, origin: Origin): Promise<SessionRecord | null> {
    const found = await this.tokens.find(token);
    if (!found) return null;
    if (found.clientId === clientId) return this.sessions.ofId(found.userId, found.sessionId);
    // Made for another application: it was handed on, or stolen there.
    this.refusals.record('client_token', 'wrong_credential', { userId: found.userId, origin, clientId });
    return null;
  }

  private async ofSessionToken(token: string, { clientId }: ClientView, origin: Origin): Promise<SessionRecord | null> {
    if (this.config.ALLOW_SESSION_TOKEN_INTROSPECTION === 'yes') return this.sessions.look(token);
    // The operator learns which application is still given what opens an account.
    if (isSessionToken(token)) this.refusals.record('session', 'wrong_credential', { userId: null, origin, clientId });
    return null;
  }
}
