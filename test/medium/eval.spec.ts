import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import { z } from 'zod';

/** Real: the built command line, the models, the committed footage. */
const MAIN = path.resolve('dist/tools/eval/main.js');
const MEDIA = path.resolve('test/media');

describe('evaluation on the committed footage', () => {
  let folder: string;
  beforeAll(() => (folder = mkdtempSync(path.join(tmpdir(), 'eval-'))));
  afterAll(() => rmSync(folder, { recursive: true }));

  const list = (name: string, lines: string[]): string => {
    const file = path.join(folder, name);
    writeFileSync(file, `${lines.join('\n')}\n`);
    return file;
  };
  const run = (...args: string[]) => {
    const out = path.join(folder, 'report.json');
    const { status, stderr } = spawnSync(process.execPath, [MAIN, ...args, '--out', out], { encoding: 'utf8' });
    return { status, stderr, report: (): unknown => JSON.parse(readFileSync(out, 'utf8')) };
  };

  it('match tells two people apart and finds every face', () => {
    const frame = (person: string, part: string, i: number): string =>
      `${person}/${part}/${`${i}`.padStart(3, '0')}.jpg`;
    const pairs = ['fileA,fileB,same,fold'];
    for (const i of [0, 10, 20, 30]) {
      pairs.push(`${frame('franck', 'neutral-1', i)},${frame('franck', 'neutral-2', i)},1,${i}`);
      pairs.push(`${frame('franck', 'neutral-1', i)},${frame('cap', 'neutral-1', i)},0,${i}`);
    }
    const markdown = path.join(folder, 'accuracy.md');
    const { status, report } = run('match', '--images', MEDIA, '--pairs', list('pairs.csv', pairs), '--markdown', markdown); // prettier-ignore
    expect(status).toBe(0);
    expect(report()).toMatchObject({ n: 8, images: 12, undetected: 0, accuracy10Fold: 1, eer: 0, auc: 1 });
    const { fmr } = z.object({ fmr: z.record(z.string(), z.object({ threshold: z.number(), fnmr: z.number(), lower95: z.number(), upper95: z.number(), supported: z.boolean() })) }).parse(report()); // prettier-ignore
    expect(Object.keys(fmr)).toEqual(['1e-2', '1e-3', '1e-4', '1e-5']);
    expect(fmr['1e-4']).toMatchObject({ fnmr: 0, lower95: 0, supported: false });
    expect(readFileSync(markdown, 'utf8')).toContain('| 1e-4 |');
  });

  it('match reads photographs of 12 megapixels as the small pictures that they are of', async () => {
    const photos = await Promise.all(
      ['franck/neutral-1/000.jpg', 'franck/neutral-2/000.jpg', 'cap/neutral-1/000.jpg'].map(async (file, i) => {
        // From memory: a spec that ran before in this Jest worker may have loaded the decoder, which leaves libvips
        // no loader but those of JPEG and WebP from memory, for the whole process.
        const large = sharp(readFileSync(path.join(MEDIA, file))).resize({ width: 4_000, height: 3_000, fit: 'cover' });
        await large.jpeg({ quality: 60 }).toFile(path.join(folder, `photo-${i}.jpg`));
        return `photo-${i}.jpg`;
      }),
    );
    const pairs = list('photos.csv', ['fileA,fileB,same,fold', `${photos[0]},${photos[1]},1,0`, `${photos[0]},${photos[2]},0,1`]); // prettier-ignore
    const { status, report } = run('match', '--images', folder, '--pairs', pairs);
    expect(status).toBe(0);
    expect(report()).toMatchObject({ images: 3, undetected: 0, auc: 1 });
  });

  it('gestures finds the smile and the turn in folders of frames, and nothing in rest', () => {
    const labels = list('labels.csv', [
      'file,event,start_s,end_s',
      'franck/neutral-1,neutral,0,1.4',
      'franck/smile-1,smile,0,2.2',
      'franck/turn-right-1,turn_right,0,2.4',
    ]);
    const { status, report } = run('gestures', '--clips', MEDIA, '--labels', labels, '--fps', '24');
    expect(status).toBe(0);
    expect(report()).toMatchObject({
      fps: {
        '24': {
          events: {
            smile: { hits: 1, falseDetections: 0 },
            turn_right: { hits: 1 },
            turn_left: { falseDetections: 0 },
          },
          quiet: { neutral: { labelled: 1, clean: 1 } },
        },
      },
    });
  });

  it('pad denies no genuine footage', () => {
    const labels = list('pad.csv', ['file,subject,label', 'franck/blink-2,franck,bona_fide']);
    const { status, report } = run('pad', '--clips', MEDIA, '--labels', labels, '--fps', '24', '--window', '2');
    expect(status).toBe(0);
    expect(report()).toMatchObject({ bySpecies: { bona_fide: { windows: { n: 1, notChecked: 0, denied: 0 } } } });
  });

  it('attempt verifies the enrolled man and refuses the other one, and a still', () => {
    const row = (person: string, part: string, action: string, end: number): string =>
      `${person},${action},${path.join(MEDIA, person, part)},0,${end}`;
    const library = list('library.csv', [
      'person,action,file,start_s,end_s',
      row('franck', 'neutral-1', 'neutral', 1.4),
      row('franck', 'smile-1', 'smile', 2.2),
      row('franck', 'turn-right-1', 'turn_right', 2.4),
      row('franck', 'blink-2', 'blink', 2.2),
      row('cap', 'blink-1', 'blink', 2.7),
      row('cap', 'turn-right-1', 'turn_right', 1.7),
    ]);
    const play = (strategy: string) =>
      run('attempt', '--library', library, '--strategy', strategy, '--n', '4', '--seed', '7', '--variants', '1', '--frames-fps', '24'); // prettier-ignore
    const genuine = play('genuine');
    expect(genuine.stderr).not.toContain('error');
    expect(genuine.report()).toMatchObject({ n: 4, byPerson: { franck: { n: 2, verified: 2 }, cap: { n: 2 } } });
    play('impostor');
    expect(genuine.report()).toMatchObject({ n: 4, verified: 0, reasons: { mismatch: 3 } });
    play('still');
    expect(genuine.report()).toMatchObject({ n: 4, verified: 0, reasons: { no_action: 4 } });
  });

  it('names every missing file at once, and the line of a wrong one', () => {
    const missing = run(
      'match',
      '--images',
      MEDIA,
      '--pairs',
      list('m.csv', ['fileA,fileB,same', 'x/1.jpg,y/2.jpg,1']),
    );
    expect(missing.status).toBe(1);
    expect(missing.stderr).toMatch(/2 missing:\n {2}.*x\/1\.jpg\n {2}.*y\/2\.jpg/);
    const wrong = run(
      'gestures',
      '--clips',
      MEDIA,
      '--labels',
      list('l.csv', ['file,event,start_s,end_s', 'a,wave,0,1']),
    );
    expect(wrong.status).toBe(2);
    expect(wrong.stderr).toContain('l.csv:2: unknown event "wave"');
    expect(run('match').status).toBe(2);
    const lost = run('quality', '--images', MEDIA, '--markdown', path.join(folder, 'none/accuracy.md'));
    expect(lost.status).toBe(2);
    expect(lost.stderr).toContain('there is no such folder');
  });
});
