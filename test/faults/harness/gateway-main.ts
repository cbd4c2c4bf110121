import { PendingChanges, UserRepository } from '#accounts';
import type { GuardStore } from '#guard';
import { BlobStore, JobQueue } from '#queue';
import { FrameBlobs } from '../../../apps/gateway/src/capture/frame-blobs.js';
import { loadConfig } from '../../../apps/gateway/src/config.js';
import { GUARD } from '../../../apps/gateway/src/face/guard.module.js';
import { TemplateRepository } from '../../../apps/gateway/src/face/template.repository.js';
import { endOnSignals } from '../../../apps/gateway/src/health/drain.js';
import { createGateway } from '../../../apps/gateway/src/http/server.js';
import { SessionService } from '../../../apps/gateway/src/sessions/session.service.js';
import { Probe } from './probe.js';

/**
 * The gateway as it is, with a point of the probe before and after every call that changes something outside: between
 * any two of them it can be killed.
 */
const probe = Probe.fromEnvironment();

interface Watched {
  token: unknown;
  calls: [method: string, point: string][];
}

/** What is called, and how its points are named. A method that the product no longer has is the compiler's to find. */
const watched = <T>(token: unknown, calls: Partial<Record<keyof T & string, string>>): Watched => ({
  token,
  calls: Object.entries(calls) as Watched['calls'],
});
const POINTS: readonly Watched[] = [
  watched<GuardStore>(GUARD, { begin: 'reserve', acceptStep: 'accept', recordVerdict: 'verdict', decide: 'decide', redeem: 'redeem', change: 'tell', appendPrepared: 'event' }),
  watched<UserRepository>(UserRepository, { renew: 'account', askForNewEmail: 'account' }),
  watched<PendingChanges>(PendingChanges, { finish: 'follows' }),
  watched<JobQueue>(JobQueue, { enqueue: 'enqueue' }),
  watched<FrameBlobs>(FrameBlobs, { put: 'frames' }),
  watched<BlobStore>(BlobStore, { delete: 'clean' }),
  watched<TemplateRepository>(TemplateRepository, { insert: 'template' }),
  watched<SessionService>(SessionService, { rotate: 'rotate' }),
]; // prettier-ignore

type Method = (...args: unknown[]) => Promise<unknown>;

async function main(): Promise<void> {
  const config = loadConfig();
  const app = await createGateway(config);
  endOnSignals(app, config.SHUTDOWN_DRAIN_SECONDS);
  await app.init();
  for (const { token, calls } of POINTS) {
    const target = app.get<Record<string, Method>>(token as never, { strict: false });
    for (const [method, point] of calls) watch(target, method, point);
  }
  await app.listen(config.GATEWAY_PORT, config.GATEWAY_HOST);
}

function watch(target: Record<string, Method>, method: string, point: string): void {
  const real = target[method];
  if (!real) throw new Error(`there is no ${method} to watch`);
  target[method] = async (...args) => {
    await probe.at(`${point}:before`);
    const result = await real.apply(target, args);
    await probe.at(`${point}:after`);
    return result;
  };
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
