import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor, SetMetadata } from '@nestjs/common';
import { map, type Observable } from 'rxjs';
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
    const schema = answeredBy(context.getHandler())?.schema;
    return schema ? next.handle().pipe(map((answer) => schema.parse(answer))) : next.handle();
  }
}
