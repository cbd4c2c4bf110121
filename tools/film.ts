import { parseArgs } from 'node:util';
import path from 'node:path';
import { actionSchema } from '#contracts';
import { repositoryRoot } from '#stack';
import { encodeStep, Media, RecordedPerson, StillPhoto } from '#testing';

const HELP = `node dist/tools/film.js ACTION [--person franck|cap] [--still] > step.bin

Plays recorded footage the way a camera would film it, and writes the body of one step: for trying the API with curl.
ACTION is what the server asked for: blink, turn_left, turn_right or smile. Takes as long as the person takes.

  --person   who is filmed (default franck; see test/media/SOURCE.md)
  --still    holds a still photo of that person instead
  --help     this text`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      person: { type: 'string', default: 'franck' },
      still: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const action = actionSchema.safeParse(positionals[0]);
  if (!action.success || positionals.length !== 1 || process.stdout.isTTY) {
    console.error(HELP);
    return 2;
  }
  const media = new Media(path.join(repositoryRoot(), 'test/media'));
  const seed = Date.now();
  const performer = values.still
    ? new StillPhoto(media, values.person, seed)
    : new RecordedPerson(media, values.person, seed);
  const from = performance.now();
  const frames = await performer.perform(action.data);
  const filmedMs = (frames.at(-1)?.tMs ?? 0) + 60;
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, filmedMs - (performance.now() - from))));
  const body = encodeStep(frames, { device: { model: 'a recorded webcam' } });
  await new Promise<void>((resolve, reject) =>
    process.stdout.write(body, (error) => (error ? reject(error) : resolve())),
  );
  return 0;
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  },
);
