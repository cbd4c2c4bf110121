import { Controller, Delete, Get, HttpCode, Param, Post, Query, Req } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { CAPTURE_LIMITS, CHALLENGE_STEPS_MAX, type Origin, type Purpose } from '#contracts';
import type { Reservation } from '#guard';
import { Accepts } from '../http/accepts.js';
import { Answers } from '../http/answers.js';
import { RequestOrigin } from '../http/origin.js';
import { receivedAtMs } from '../http/received-at.js';
import { type Answered, type Principal } from '../http/principal.js';
import { Rotates } from '../http/rotates.js';
import { CurrentOrAnswered, CurrentSession } from '../http/session.guard.js';
import {
  type AttemptAnswer,
  attemptAnswerSchema,
  framesMaxOf,
  liveAnswer,
  liveAnswerSchema,
  stepSchema,
  stepView,
  verifiedAnswer,
} from './attempt-answer.js';
import { BeginService } from './begin.service.js';
import { OutcomeService } from './outcome.service.js';
import { StepService } from './step.service.js';

const POLL_SECONDS_MAX = 25;
const attemptParams = z.strictObject({ id: z.uuid() });
const stepParams = z.strictObject({ id: z.uuid(), n: wholeNumber(1, CHALLENGE_STEPS_MAX) });
const pollQuery = z.strictObject({ wait: wholeNumber(0, POLL_SECONDS_MAX).default(0) });

/** A query or path part: decimal digits only, so that ` 1`, `1e0` and `0x1` are not numbers. */
function wholeNumber(min: number, max: number) {
  return z
    .string()
    .regex(/^\d{1,3}$/)
    .transform(Number)
    .pipe(z.int().min(min).max(max));
}

const begunSchema = z
  .strictObject({
    attemptId: z.uuid(),
    expiresAt: z.iso.datetime(),
    step: stepSchema.nullable(),
    capture: z.strictObject({
      fpsMin: z.number(),
      fpsMax: z.number(),
      framesMax: z.int(),
      frameBytesMax: z.int(),
      framePixelsMax: z.int(),
      bytesMax: z.int(),
      format: z.array(z.string()),
    }),
  })
  .meta({ id: 'BegunCapture' });

const BEGIN_ERRORS = [
  'account_inactive',
  'erasure_pending',
  'consent_required',
  'consent_outdated',
  'attempt_in_progress',
  'too_many_attempts',
  'busy',
] as const;
const BEGIN_VERIFY_ERRORS = [
  ...BEGIN_ERRORS,
  'enrolment_required',
  're_enrolment_required',
  'face_disabled',
  'face_locked',
] as const;

/** Captures of all three purposes. The route that begins one decides its purpose; the rest is the same for all. */
@Controller('v1/face')
export class CaptureController {
  constructor(
    private readonly beginning: BeginService,
    private readonly steps: StepService,
    private readonly outcomes: OutcomeService,
  ) {}

  @Post('enrolments')
  @Answers({ summary: 'Begins the enrolment of a face', schema: begunSchema, errors: BEGIN_ERRORS, idempotent: true })
  enrol(@CurrentSession() session: Principal, @RequestOrigin() origin: Origin) {
    return this.begin(session, 'enrol', origin);
  }

  @Post('attempts')
  @Answers({
    summary: 'Begins an attempt to be recognised',
    schema: begunSchema,
    errors: BEGIN_VERIFY_ERRORS,
    idempotent: true,
  })
  verify(@CurrentSession() session: Principal, @RequestOrigin() origin: Origin) {
    return this.begin(session, 'verify', origin);
  }

  @Post('practice')
  @Answers({
    summary: 'Begins a capture that compares nothing',
    schema: begunSchema,
    errors: BEGIN_ERRORS,
    idempotent: true,
  })
  practise(@CurrentSession() session: Principal, @RequestOrigin() origin: Origin) {
    return this.begin(session, 'practice', origin);
  }

  @Post('attempts/:id/steps/:n')
  @HttpCode(202)
  @Accepts({ params: stepParams, bytes: true })
  @Answers({
    summary: 'Takes the frames of one step and reveals the next',
    schema: liveAnswerSchema,
    errors: [
      'not_found',
      'step_out_of_order',
      'step_already_received',
      'step_too_early',
      'upload_replaced',
      'attempt_over',
      'frames_reused',
      'frame_times_unusable',
      'too_many_frames',
      'unsupported_image',
      'image_too_large',
      'busy',
    ],
  })
  async step(
    @CurrentSession() session: Principal,
    @Param() { id, n }: z.infer<typeof stepParams>,
    @Req() request: FastifyRequest,
  ): Promise<AttemptAnswer> {
    const announced = request.headers['content-length'];
    const upload = {
      attemptId: id,
      step: n,
      body: request.raw,
      length: announced === undefined ? null : Number(announced),
      receivedAtMs: receivedAtMs(request),
    };
    return liveAnswer(await this.steps.accept(session, upload));
  }

  @Get('attempts/:id')
  @Rotates(({ params }) => ['attempt', (params as { id: string }).id])
  @Accepts({ params: attemptParams, query: pollQuery })
  @Answers({ summary: 'What became of a capture; waits for it', schema: attemptAnswerSchema, errors: ['not_found'] })
  async poll(
    @CurrentOrAnswered() session: Principal | Answered,
    @Param() { id }: z.infer<typeof attemptParams>,
    @Query() { wait }: z.infer<typeof pollQuery>,
  ): Promise<AttemptAnswer> {
    return 'answered' in session ? verifiedAnswer(session.answered) : this.outcomes.poll(session, id, wait);
  }

  @Delete('attempts/:id')
  @HttpCode(204)
  @Accepts({ params: attemptParams })
  @Answers({ summary: 'Cancels a capture', errors: ['not_found'] })
  cancel(@CurrentSession() session: Principal, @Param() { id }: z.infer<typeof attemptParams>): Promise<void> {
    return this.outcomes.cancel(session, id);
  }

  private async begin(session: Principal, purpose: Purpose, origin: Origin) {
    return begun(await this.beginning.begin(session, purpose, origin));
  }
}

const begun = (reservation: Reservation): z.infer<typeof begunSchema> => ({
  attemptId: reservation.attemptId,
  expiresAt: reservation.captureUntil.toISOString(),
  step: stepView(reservation),
  capture: {
    fpsMin: CAPTURE_LIMITS.fpsMin,
    fpsMax: CAPTURE_LIMITS.fpsMax,
    framesMax: framesMaxOf(reservation),
    frameBytesMax: CAPTURE_LIMITS.frameBytesMax,
    framePixelsMax: CAPTURE_LIMITS.framePixelsMax,
    bytesMax: CAPTURE_LIMITS.bytesMax,
    format: ['image/jpeg', 'image/webp'],
  },
});
