import { Module } from '@nestjs/common';
import { MongooseModule } from '@nestjs/mongoose';
import { CheckpointSink } from './checkpoint-sink.js';
import { Checkpointer } from './checkpointer.js';
import { CheckpointsRepository } from './checkpoints.repository.js';
import { EntriesRepository } from './entries.repository.js';
import { EventKeysService } from './event-keys.service.js';
import { LeaseRepository } from './lease.repository.js';
import { LogWriter } from './log-writer.js';
import {
  CHECKPOINT_MODEL,
  checkpointSchema,
  ENTRY_MODEL,
  entrySchema,
  EVENT_DAY_MODEL,
  eventDaySchema,
} from './log.schema.js';

const MODELS = MongooseModule.forFeature([
  { name: ENTRY_MODEL, schema: entrySchema },
  { name: EVENT_DAY_MODEL, schema: eventDaySchema },
  { name: CHECKPOINT_MODEL, schema: checkpointSchema },
]);

@Module({
  imports: [MODELS],
  providers: [
    EntriesRepository,
    LeaseRepository,
    CheckpointsRepository,
    CheckpointSink,
    Checkpointer,
    EventKeysService,
    LogWriter,
  ],
  exports: [MODELS, Checkpointer, LogWriter, EntriesRepository, EventKeysService],
})
export class LogModule {}
