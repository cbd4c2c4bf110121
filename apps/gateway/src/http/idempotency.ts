import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { from, type Observable, of, switchMap, tap } from 'rxjs';
import { z } from 'zod';
import { RedisStore } from '../redis/redis.js';
import { Keys } from '../store/keys.js';
import { answeredBy } from './answers.js';
import { clientAddressOf } from './origin.js';
import { Problem } from './problem.js';
import { principalOf } from './principal.js';

const HEADER = 'idempotency-key';
const KEY = /^[\x21-\x7e]{8,100}$/;
/** Longer than any request lasts; a process that dies holds its key so long. */
const RUNNING_SECONDS = 60;
const KEPT_SECONDS = 3_600;

const keptSchema = z.strictObject({ request: z.string(), answer: z.string().nullable(), mac: z.string() });

/**
 * `Idempotency-Key` on routes that create something: the same request under the same key is done once, and answered
 * with the first answer for an hour. Refusals are not kept. A key belongs to its session, or to its address.
 */
@Injectable()
export class IdempotencyInterceptor implements NestInterceptor {
  constructor(
    private readonly redis: RedisStore,
    private readonly keys: Keys,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const given = request.headers[HEADER];
    if (given === undefined || !answeredBy(context.getHandler())?.idempotent) return next.handle();
    if (typeof given !== 'string' || !KEY.test(given))
      throw new Problem('invalid_request', { extras: { fields: [HEADER] } });
    return from(this.claim(request, given)).pipe(
      switchMap((claim) => {
        if (claim.kind === 'answered') return of(claim.answer);
        return next.handle().pipe(
          switchMap(async (answer) => {
            await this.keep(claim, answer);
            return answer as unknown;
          }),
          tap({ error: () => void this.release(claim).catch(() => undefined) }),
        );
      }),
    );
  }

  private async claim(request: FastifyRequest, given: string) {
    const owner = principalOf(request)?.record.sessionId ?? clientAddressOf(request) ?? '';
    const route = `${request.method} ${request.routeOptions.url}`;
    const name = `idem:${this.keys.mac('idempotency', owner, route, given).toString('base64url')}`;
    const digest = this.keys.mac('idempotency', 'request', JSON.stringify(request.body ?? null)).toString('base64url');
    const mine = await this.redis.ask((redis) =>
      redis.set(name, this.sealed(name, digest, null), 'EX', RUNNING_SECONDS, 'NX'),
    );
    if (mine !== null) return { kind: 'mine' as const, name, digest };
    const kept = this.opened(name, await this.redis.ask((redis) => redis.get(name)));
    if (kept?.request !== digest || kept.answer === null) throw new Problem('idempotency_conflict');
    return { kind: 'answered' as const, answer: JSON.parse(kept.answer) as unknown };
  }

  private async keep({ name, digest }: { name: string; digest: string }, answer: unknown): Promise<void> {
    const text = JSON.stringify(answer ?? null);
    await this.redis.ask((redis) => redis.set(name, this.sealed(name, digest, text), 'EX', KEPT_SECONDS));
  }

  private async release({ name }: { name: string }): Promise<void> {
    await this.redis.ask((redis) => redis.del(name));
  }

  /** Under the gateway's HMAC, like a session: whoever writes in Redis can not make up an answer. */
  private sealed(name: string, request: string, answer: string | null): string {
    const mac = this.keys.mac('idempotency', 'kept', name, request, answer ?? '').toString('base64url');
    return JSON.stringify({ request, answer, mac });
  }

  private opened(name: string, text: string | null): { request: string; answer: string | null } | null {
    if (text === null) return null;
    try {
      const { request, answer, mac } = keptSchema.parse(JSON.parse(text));
      const genuine = this.keys.isMac(
        Buffer.from(mac, 'base64url'),
        'idempotency',
        'kept',
        name,
        request,
        answer ?? '',
      );
      return genuine ? { request, answer } : null;
    } catch {
      return null;
    }
  }
}
