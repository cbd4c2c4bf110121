import { Controller, Inject } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { AUDIT_PATTERNS, type ListEventsAnswer, listEventsAnswerSchema, listEventsQuerySchema } from '#contracts';
import { AUDIT_CONFIG, type AuditConfig } from '../config.js';
import { QueryService } from './query.service.js';
import { isSameSecret } from './shared-secret.js';

/** The gateway's questions. Who does not know the secret learns nothing else, not even whether his query would do. */
@Controller()
export class EventsController {
  constructor(
    @Inject(AUDIT_CONFIG) private readonly config: Pick<AuditConfig, 'AUDIT_SHARED_SECRET'>,
    private readonly queries: QueryService,
  ) {}

  @MessagePattern(AUDIT_PATTERNS.listEvents)
  async list(@Payload() payload: unknown): Promise<ListEventsAnswer> {
    const given = (payload as { secret?: unknown } | null | undefined)?.secret;
    if (!isSameSecret(given, this.config.AUDIT_SHARED_SECRET)) return { status: 'refused', code: 'unauthorised' };
    const query = listEventsQuerySchema.safeParse(payload);
    if (!query.success) return { status: 'refused', code: 'invalid_query' };
    return listEventsAnswerSchema.parse(await this.queries.list(query.data));
  }
}
