import type { Finding } from './check.js';
import { checkpoints, erasureHold, environment, secretFiles } from './environment.js';
import { gateway, models, mongo, node, redis, smtp, telemetry } from './services.js';

/** Looks at a set-up as its variables describe it. Without readable variables there is nothing else to look at. */
export async function diagnose(
  source: Readonly<Record<string, string | undefined>>,
  now = Date.now,
): Promise<Finding[]> {
  const { given, findings } = environment(source);
  const here = [node(), telemetry(source), ...findings, ...secretFiles(source)];
  if (given === null) return here;
  const [ofMongo, ofRedis, ...others] = await Promise.all([
    mongo(source, given, now),
    redis(given, now),
    smtp(given.SMTP_URL),
    gateway(given.PUBLIC_URL),
  ]);
  return [
    ...here,
    checkpoints(given),
    ...erasureHold(given),
    ...models(given.MODEL_MANIFEST),
    ...ofMongo,
    ...ofRedis,
    ...others,
  ];
}
