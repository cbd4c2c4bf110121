import { errorRow } from './error-table.js';
import { errorsOf } from './openapi.js';
import type { Access } from './policy.js';
import type { Route } from './routes.js';

export const DOCS_STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid #8884; }
code { font: .9em ui-monospace, monospace; overflow-wrap: anywhere; }
`;

/** One plain page: every route, who may call it, and how it refuses. The schemas are in /docs-json. */
export function docsPage(routes: readonly Route[]): string {
  const rows = [...routes].sort((a, b) => (a.path < b.path ? -1 : 1)).map(row);
  return (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Countersign API</title>' +
    '<meta name="viewport" content="width=device-width, initial-scale=1">' +
    `<style>${DOCS_STYLE}</style></head><body><main><h1>Countersign API</h1>` +
    '<p>The same with all schemas, for tools: <a href="/docs-json">OpenAPI 3.1</a>. Every error is ' +
    '<code>application/problem+json</code> (RFC 9457) with a stable <code>code</code>.</p>' +
    '<table><thead><tr><th scope="col">Route</th><th scope="col">What</th><th scope="col">Who</th>' +
    `<th scope="col">Refusals</th></tr></thead><tbody>${rows.join('')}</tbody></table></main></body></html>`
  );
}

function row(route: Route): string {
  const errors = errorsOf(route).filter((code) => errorRow(code).status < 500);
  return (
    `<tr><td><code>${route.method} ${escaped(route.path.replace(/:([A-Za-z]+)/g, '{$1}'))}</code></td>` +
    `<td>${escaped(route.answers.summary)}</td><td>${who(route.access)}</td>` +
    `<td>${errors.map((code) => `<code>${code}</code>`).join(' ')}</td></tr>`
  );
}

function who(access: Access): string {
  if (access.who === 'anyone') return 'anyone';
  if (access.who === 'service') return `service credential, scope ${access.scope}`;
  const level = {
    pwd: 'session',
    manage: 'session, raised once a face was enrolled',
    raised: 'raised session',
    reads: 'session as STAFF_READS says',
  };
  const recent = access.recent ? ', with a password or a face of the last minutes' : '';
  return level[access.level] + recent + (access.roles.length > 0 ? `, role ${access.roles.join(' or ')}` : '');
}

const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
