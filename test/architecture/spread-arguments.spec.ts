import ts from 'typescript';
import { sourceFiles } from './source-files.js';

/**
 * Calls with `...` among their arguments, as `callee(...expression)`. Each element becomes an argument on the stack: beyond
 * some 120,000 of them V8 throws a RangeError.
 */
function spreadsIn(text: string): string[] {
  const source = ts.createSourceFile('source.ts', text, ts.ScriptTarget.Latest, true);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) || ts.isNewExpression(node)) {
      for (const argument of node.arguments ?? []) {
        if (!ts.isSpreadElement(argument) || isHandedOn(argument.expression)) continue;
        const callee = node.expression.getText(source).split('.').at(-1) ?? '';
        found.push(`${callee}(...${argument.expression.getText(source)})`.replace(/\s+/g, ' '));
      }
      if (/\.apply$/.test(node.expression.getText(source)) && node.arguments?.length === 2) {
        const [, list] = node.arguments;
        if (/^(null|undefined|Math|String)\b/.test(node.arguments[0]?.getText(source) ?? ''))
          found.push(`apply(${list?.getText(source)})`);
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** The rest parameter of a function around it: whoever called that wrote the arguments, or spread them and is found there. */
function isHandedOn(expression: ts.Expression): boolean {
  if (!ts.isIdentifier(expression)) return false;
  for (let node: ts.Node = expression; node; node = node.parent) {
    if (!ts.isFunctionLike(node)) continue;
    if (node.parameters.some((p) => p.dotDotDotToken !== undefined && p.name.getText() === expression.text))
      return true;
  }
  return false;
}

/** What may be spread, by what bounds its length. Whatever else is spread has to be mended, or to give its bound here. */
const BOUNDED: Record<string, Record<string, string[]>> = {
  'a tuple, as many as the source writes, or the steps of an attempt': {
    'apps/cli/src/users/commands.ts': ['option(...AS)', 'option(...ROLE)'],
    'apps/cli/src/init/secrets.ts': ['passwords(...MONGO_USERS)'],
    'apps/gateway/src/capture/frame-blobs.ts': ['delete(...blobKeysOf(attemptId, run, inputs))'],
    'apps/gateway/src/face/guard.module.ts': ['delete(...blobKeysOf(attemptId, run, inputs))'],
    'apps/inference/src/pipeline/picture.ts': ['warpGrey(...place)', 'warpGrey(...by)', 'warpColour(...place)', 'warpColour(...by)'],
    'apps/inference/src/threads/jpeg.ts': ['decodeScan(...planes)', 'toRgb(...planes)'],
    'libs/guard/src/decide.ts': [
      'and(...ofThisAttempt(r))',
      "and(...(r.purpose === 'verify' ? [eq(field('template.id'), r.templateId ?? ''), eq(field('template.modelDigest'), r.modelDigest)] : []))",
      "and(...(r.purpose === 'enrol' ? [eq(reservation('templateId'), r.templateId ?? '')] : []))",
      "and(...(r.purpose === 'practice' ? [r.templateId === undefined] : []))",
    ],
    'libs/guard/src/outbox.ts': [
      'merge(...Object.entries(o.more ?? {}).map(([key, value]) => optional(key, value)))',
      'merge(...Object.entries(o.optionalParams ?? {}).map(([key, value]) => optional(key, value)))',
    ],
    'tools/attacks/attempts.ts': ['randomOf(...name)'],
    'tools/attacks/footage.ts': ['randomOf(...name)'],
    'tools/attacks/genuine.ts': ['randomOf(...actions)'],
    'tools/attacks/http.ts': ['randomOf(...name)'],
    'tools/attacks/strategies.ts': ['joined(...films)'],
    'tools/attacks/main.ts': [
      'push(...passed)',
      'push(...bars.filter((b) => !b.met).map((b) => `below its bar: ${b.what}`))',
      'push(...httpFaults(rows))',
    ],
    'tools/demo/report.ts': ['max(...reports.map((r) => column(r).length))'],
    'tools/demo/svg.ts': ['max(...lines.map((line) => line.length))'],
    'tools/stack/src/apps.ts': ['push(...APP_NAMES.map((app) => keepAlive(processes[app], () => start(app), o.log)))'],
    'tools/stack/src/documentdb/cluster.ts': ['wrap(...plain)'],
  },
  'a setting or an option of the command line, written by the operator': {
    'apps/audit/src/reminders/reminders.service.ts': ['max(...this.limits)'],
    'tools/eval/gestures.ts': ['max(...rates)'],
  },
  'the frames of a step (CAPTURE_LIMITS: at most 240), or the landmarks of a face': {
    'apps/inference/src/pipeline/gestures.ts': [
      'max(...way.map(by))',
      'max(...samples.map(by))',
      'max(...values)',
      'min(...values)',
      'max(...yaws)',
      'min(...yaws)',
      'min(...height.slice(closed, open))',
      'min(...steps(first, open))',
      'max(...height.slice(first, closed + 1))',
      'max(...steps(closed, last))',
      'max(...height.slice(open - 1, last + 1))',
    ],
    'apps/inference/src/pipeline/analyse.ts': [
      'max(...points.map(([x, y], i) => Math.hypot(found[i]![0] - x, found[i]![1] - y)))',
      'max(...samples.map((e) => e.fitness))',
    ],
    'apps/inference/src/pipeline/judge-attempt.ts': ['max(...chosen.map((c) => cosine(c.embedding, e.embedding)))'],
  },
  'the labels that people wrote for one film': {
    'tools/attacks/cuts.ts': [
      'push(...bothSides(found))',
      'max(...before)',
      'min(...others.filter((o) => o.fromS >= span.toS).map((o) => o.fromS - MARGIN_S))',
      'max(...blinks.map((b) => b.toS))',
    ],
    'tools/attacks/footage.ts': ['min(...others.filter((s) => s.fromS >= fromS).map((s) => s.fromS - MARGIN_MS / 1000))', 'max(...before)'],
  },
}; // prettier-ignore

describe('13.2: nothing is spread over an argument list where its length is chosen by data', () => {
  it('in apps, libs and tools', () => {
    const found = sourceFiles('apps', 'libs', 'tools').flatMap(({ file, text }) => {
      return text.includes('...') || text.includes('.apply(') ? spreadsIn(text).map((call) => `${file}: ${call}`) : [];
    });
    const bounded = Object.values(BOUNDED).flatMap((files) =>
      Object.entries(files).flatMap(([file, calls]) => calls.map((call) => `${file}: ${call}`)),
    );
    expect([...new Set(found)].sort()).toEqual(bounded.sort());
  });

  it.each([
    ['rows.push(...more);', 'push(...more)'],
    ['redis.unlink(...keys.map((key) => `a${key}`));', 'unlink(...keys.map((key) => `a${key}`))'],
    ['String.fromCharCode(...bytes)', 'fromCharCode(...bytes)'],
    ['new Date(...parts)', 'Date(...parts)'],
    ['f?.(a, ...list)', 'f(...list)'],
    ['Math.max.apply(null, all)', 'apply(all)'],
    ['const g = (...rest: string[]) => h(...rest, ...more)', 'h(...more)'],
  ])('the search finds %s', (code, call) => expect(spreadsIn(code)).toEqual([call]));

  it.each(['f([...list])', 'f({ ...o })', 'const g = (...rest: string[]) => h(...rest)'])(
    'and passes over %s',
    (code) => expect(spreadsIn(code)).toEqual([]),
  );
});
