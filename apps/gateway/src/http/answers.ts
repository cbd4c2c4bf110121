import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor, SetMetadata } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { map, type Observable, of } from 'rxjs';
import type { z } from 'zod';
import type { ErrorCode } from '#contracts';

const ANSWERS = 'countersign:answers';

export interface Answered {
  /** What the route is for, in a line. */
  summary: string;
  /** The body; none for 204, nor where `media` is streamed. */
  schema?: z.ZodType;
  /** Of the body, when it is not JSON. */
  media?: string;
  /**
   * A GET that changes and records nothing, so HEAD runs it, too. Of any other GET, HEAD judges the session and the form
   * of the input only: a mailed link, a grant or an audited read is never used up by who asks for headers.
   */
  safe?: boolean;
  /** Honours `Idempotency-Key`: it creates something. */
  idempotent?: boolean;
  /** Refusals of its own, beside those that its policy and its input imply. */
  errors?: readonly ErrorCode[];
}

/** What a route gives. It is documented, and nothing else leaves. */
export const Answers = (answered: Answered): MethodDecorator => SetMetadata(ANSWERS, answered);
export const answeredBy = (handler: object): Answered | undefined =>
  Reflect.getMetadata(ANSWERS, handler) as Answered | undefined;

/** The one mechanism that lets answers out: a field that was not declared is a fault of ours, and is not sent. */
@Injectable()
export class AnswerInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const answered = answeredBy(context.getHandler());
    const schema = answered?.schema;
    const http = context.switchToHttp();
    if (http.getRequest<FastifyRequest>().method === 'HEAD' && !answered?.safe) {
      http
        .getResponse<FastifyReply>()
        .header('content-type', `${answered?.media ?? 'application/json'}; charset=utf-8`);
      return of(undefined);
    }
    return schema ? next.handle().pipe(map((answer) => schema.parse(answer))) : next.handle();
  }
}
