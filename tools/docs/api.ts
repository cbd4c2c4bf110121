import { type Access, accessOf, RECENT_SECONDS } from '../../apps/gateway/src/http/policy.js';
import { gatewayDocument } from '../client/document.js';
import { markdownTable } from './markdown.js';

const INTRODUCTION = `# HTTP API

Written by \`npm run docs:build\` from the routes and their policy (\`apps/gateway/src/http/policy.ts\`); a test holds the two
equal. The running gateway describes every body and answer: \`/docs-json\` (OpenAPI 3.1) and \`/docs\` (a page).
Captures are described by [docs/protocol.md](protocol.md), refusals by [docs/errors.md](errors.md).`;

interface Operation {
  summary?: string;
  tags?: string[];
}

/** docs/api.md: every route, what it does and who may call it. */
export function apiDocument(): string {
  const { paths } = gatewayDocument() as { paths: Record<string, Record<string, Operation>> };
  const groups = new Map<string, string[][]>();
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, { summary = '', tags = [] }] of Object.entries(methods)) {
      const tag = tags[0] ?? 'Other';
      const access = accessOf(method.toUpperCase(), path.replace(/\{(\w+)\}/g, ':$1'));
      const rows = groups.get(tag) ?? [];
      rows.push([`\`${method.toUpperCase()} ${path}\``, access ? whoMay(access) : '', summary]);
      groups.set(tag, rows);
    }
  }
  const sections = [...groups].map(
    ([tag, rows]) => `## ${tag}\n\n${markdownTable(['route', 'who may call it', 'what it does'], rows)}`,
  );
  return `${[INTRODUCTION, ...sections].join('\n\n')}\n`;
}

function whoMay(access: Access): string {
  if (access.who === 'anyone') return 'anyone';
  if (access.who === 'service') return `a service credential with scope \`${access.scope}\``;
  const roles = access.roles.length === 0 ? '' : `, role ${access.roles.map((role) => `\`${role}\``).join(' or ')}`;
  const recent = access.recent ? ` with a password or a face of the last ${RECENT_SECONDS / 60} minutes` : '';
  return `a session at \`${access.level}\`${recent}${roles}`;
}
