import { readFileSync } from 'node:fs';
import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { type ClientProxy, ClientProxyFactory, Transport } from '@nestjs/microservices';
import { firstValueFrom, timeout } from 'rxjs';
import { AUDIT_PATTERNS, type ListEventsAnswer, listEventsAnswerSchema, type ListEventsQuery, listEventsQuerySchema } from '#contracts'; // prettier-ignore
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';
import { Problem } from '../http/problem.js';

const ANSWER_MS = 2_000;

export type EventPage = Extract<ListEventsAnswer, { status: 'ok' }>;

/** Asks the audit service: request and answer are both parsed, and it has two seconds. */
@Injectable()
export class AuditClient implements OnApplicationShutdown {
  private readonly client: ClientProxy;

  constructor(@Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig) {
    this.client = ClientProxyFactory.create({
      transport: Transport.TCP,
      options: { host: config.AUDIT_HOST, port: config.AUDIT_PORT, tlsOptions: tlsOf(config) },
    });
  }

  async listEvents(query: Omit<ListEventsQuery, 'secret'>): Promise<EventPage> {
    const request = listEventsQuerySchema.parse({ ...query, secret: this.config.AUDIT_SHARED_SECRET });
    const answer = listEventsAnswerSchema.parse(await this.ask(AUDIT_PATTERNS.listEvents, request));
    if (answer.status === 'ok') return answer;
    if (answer.code === 'invalid_query') throw new Problem('invalid_request');
    throw new Problem('unavailable', { cause: new Error('the audit service refuses our secret') });
  }

  onApplicationShutdown(): void {
    void this.client.close();
  }

  private async ask(pattern: string, request: unknown): Promise<unknown> {
    try {
      return await firstValueFrom(this.client.send<unknown>(pattern, request).pipe(timeout(ANSWER_MS)));
    } catch (cause) {
      throw new Problem('unavailable', { cause });
    }
  }
}

/** Only a server whom this authority vouches for, under the host's name, is given our secret. */
function tlsOf({ AUDIT_TLS_CA_FILE: ca }: GatewayConfig) {
  return ca === undefined ? undefined : { ca: readFileSync(ca), minVersion: 'TLSv1.3' as const };
}
