import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DynamicModule, Provider } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { type FaceEnrolPayload, type FaceMatchPayload, type FaceStepPayload, manifestSchema } from '#contracts';
import { AppLogger, NestLogBridge } from '#observability';
import { AppModule } from '../../../apps/inference/src/app.module.js';
import { type InferenceConfig, loadConfig } from '../../../apps/inference/src/config.js';
import { ENGINE, type Engine } from '../../../apps/inference/src/engine.js';
import { InferenceService } from '../../../apps/inference/src/inference.service.js';
import { ATTEMPT } from '../../../apps/inference/src/pipeline/judge-attempt.js';
import { rulesOf } from '../../../apps/inference/src/model/model-inputs.js';
import { Probe } from './probe.js';
import { faceOf, scriptOf } from './script.js';

/**
 * The inference process with everything in it but the models: keys, queues, evidence, signatures and the decision are
 * the product's. What the models would find stands in the frames (script.ts), so that a hundred attempts cost seconds.
 */
const probe = Probe.fromEnvironment();

class ScriptedEngine implements Engine {
  readonly ready = true;
  readonly modelDigest: string;
  readonly thresholdId: string;
  readonly rules: Engine['rules'];

  constructor(manifestPath: string) {
    const manifest = manifestSchema.parse(JSON.parse(readFileSync(manifestPath, 'utf8')));
    this.modelDigest = manifest.digest;
    this.thresholdId = manifest.thresholds.match.id;
    this.rules = { ...rulesOf(manifest), recognisers: [{ length: faceOf('').length, share: 1 }] };
  }

  async analyse(body: Uint8Array): ReturnType<Engine['analyse']> {
    const { person, verdict, workMs } = scriptOf(body);
    await sleep(workMs);
    const face = { tMs: 0, yaw: 0, pitch: 0, sharpness: 1, fitness: 1, embedding: faceOf(person) };
    const antispoof = Array.from({ length: ATTEMPT.antispoofMin }, (_, tMs) => ({ tMs, near: 1, far: 1 }));
    return { verdict, embeddings: [face], antispoof, frames: antispoof.length };
  }
}

type Work = (this: InferenceService, payload: Payload, context: About) => Promise<void>;
type Payload = FaceStepPayload | FaceEnrolPayload | FaceMatchPayload;
type About = Parameters<InferenceService['step']>[1];

/** A point of the probe before and after each job about a face. */
function watchJobs(): void {
  const jobs = ['step', 'enrol', 'match'] as const satisfies readonly (keyof InferenceService)[];
  const service = InferenceService.prototype as unknown as Record<(typeof jobs)[number], Work>;
  for (const job of jobs) {
    const real = service[job];
    service[job] = async function (payload, context) {
      const { attemptId, userId, run } = payload;
      const { jobId, stalledCount } = context;
      const about = { job, jobId, attemptId, userId, run, stalledCount };
      await probe.at('job:begin', about);
      await real.call(this, payload, context);
      await probe.at('job:end', about);
    };
  }
}

function scripted(config: InferenceConfig): DynamicModule {
  const module = AppModule.forRoot(config);
  const providers = (module.providers ?? []).map((provider): Provider => {
    const isEngine = 'provide' in provider && provider.provide === ENGINE;
    return isEngine ? { provide: ENGINE, useValue: new ScriptedEngine(config.MODEL_MANIFEST) } : provider;
  });
  return { ...module, providers };
}

async function main(): Promise<void> {
  watchJobs();
  const config = loadConfig();
  const app = await NestFactory.create<NestFastifyApplication>(scripted(config), new FastifyAdapter(), {
    bufferLogs: true,
    abortOnError: false,
  });
  app.useLogger(new NestLogBridge(app.get(AppLogger)));
  app.enableShutdownHooks([], { useProcessExit: true });
  await app.listen(config.HEALTH_PORT, config.HEALTH_HOST);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
