import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { cacheFolder, findProgram, type Program, repositoryRoot } from '#stack';

/** What every object of Kubernetes has; the rest is looked at by the types of its kind, or by a rule that names it. */
export const objectSchema = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), namespace: z.string().optional() }),
});
export type KubernetesObject = z.output<typeof objectSchema>;

const K8S = path.join(repositoryRoot(), 'k8s');

export const findKustomize = (): Promise<Program> =>
  findProgram({ name: 'kustomize', title: 'kustomize', packages: ['kustomize'] }, 'usr/bin/kustomize', {
    env: process.env,
    cache: cacheFolder,
    log: (line) => console.error(line),
  });

/** What `kustomize build` makes of an overlay, with components added to it as a site would add them. */
export function build(kustomize: Program, overlay: string, components: readonly string[]): KubernetesObject[] {
  // Beside the overlays: kustomize takes nothing from an absolute path.
  const dir = fs.mkdtempSync(path.join(K8S, 'overlays', '.test-'));
  try {
    const lines = [
      'apiVersion: kustomize.config.k8s.io/v1beta1',
      'kind: Kustomization',
      `resources: [../${overlay}]`,
      `components: [${components.map((name) => `../../components/${name}`).join(', ')}]`,
    ];
    fs.writeFileSync(path.join(dir, 'kustomization.yaml'), `${lines.join('\n')}\n`);
    const [command, args] = kustomize.command(['build', dir]);
    const ran = spawnSync(command, args, { encoding: 'utf8' });
    if (ran.status !== 0) throw new Error(ran.stderr);
    return parseAllDocuments(ran.stdout).map((document) => objectSchema.parse(document.toJS()));
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
}

/** The module of an object's type and validator, of the npm packages that are made from the API's own schemas. */
function moduleOf({ apiVersion, kind }: KubernetesObject): string {
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  if (group === 'keda.sh') return `@kubernetes-models/keda/${group}/${version}/${kind}`;
  if (group === 'gateway.networking.k8s.io') return `@kubernetes-models/gateway-api/${group}/${version}/${kind}`;
  if (group === 'monitoring.coreos.com') return `@kubernetes-models/prometheus-operator/${group}/${version}/${kind}`;
  if (group === 'external-secrets.io') return `@kubernetes-models/external-secrets/${group}/${version}/${kind}`;
  return `kubernetes-models/${group ? `${group}/` : ''}${version}/${kind}`;
}

/**
 * Each object as a typed literal through the compiler: an unknown field is an excess property. The validators of the same
 * packages leave unknown fields alone.
 */
export function typeErrors(objects: readonly KubernetesObject[]): string[] {
  const source = objects.map(
    (object, i) =>
      `import type { I${object.kind} as T${i} } from '${moduleOf(object)}';\n` +
      `export const ${object.kind}_${i}: T${i} = ${JSON.stringify(object, null, 1)};\n`,
  );
  const name = path.join(repositoryRoot(), 'kubernetes-objects.ts');
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: [],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
  };
  const host = ts.createCompilerHost(options);
  const text = source.join('');
  const disk = { ...host };
  host.fileExists = (file) => file === name || disk.fileExists(file);
  host.readFile = (file) => (file === name ? text : disk.readFile(file));
  host.getSourceFile = (file, version, ...rest) =>
    file === name ? ts.createSourceFile(name, text, version) : disk.getSourceFile(file, version, ...rest);
  const program = ts.createProgram([name], options, host);
  return ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}

/** What the validators say: required fields, formats, ranges. In a process of its own, since they are ES modules. */
export function validationErrors(objects: readonly KubernetesObject[]): string[] {
  const program = `
    const problems = [];
    for (const { from, object } of JSON.parse(process.argv[1])) {
      const { [object.kind]: Model } = await import(from);
      try { new Model(object).validate(); }
      catch (error) { problems.push(object.kind + ' ' + object.metadata.name + ': ' + error.message); }
    }
    console.log(JSON.stringify(problems));`;
  const given = JSON.stringify(objects.map((object) => ({ from: moduleOf(object), object })));
  const ran = spawnSync(process.execPath, ['--input-type=module', '-e', program, given], {
    cwd: repositoryRoot(),
    encoding: 'utf8',
  });
  if (ran.status !== 0) throw new Error(ran.stderr);
  return z.array(z.string()).parse(JSON.parse(ran.stdout));
}
