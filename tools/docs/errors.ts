import { ERROR_TABLE, type ErrorRow } from '../../apps/gateway/src/http/error-table.js';
import { markdownTable } from './markdown.js';

const INTRODUCTION = `# Error codes

Written by \`npm run docs:build\` from \`apps/gateway/src/http/error-table.ts\`; a test holds the two equal.

Every error of the API is \`application/problem+json\` (RFC 9457) with a stable \`code\`: react to the code, show the title
or words of your own. \`Retry-After\` (seconds) is sent where waiting helps; the column names its value unless the refusal
itself knows a better one.`;

/** docs/errors.md: every code with its status and meaning. */
export function errorsDocument(): string {
  const rows = Object.entries<ErrorRow>(ERROR_TABLE)
    .map(([code, { status, title, retryAfterSeconds }]) => ({ code, status, title, retryAfterSeconds }))
    .sort((a, b) => a.status - b.status || a.code.localeCompare(b.code));
  const table = rows.map(({ code, status, title, retryAfterSeconds }) => [
    `\`${code}\``,
    String(status),
    title,
    retryAfterSeconds === undefined ? '' : String(retryAfterSeconds),
  ]);
  return `${INTRODUCTION}\n\n${markdownTable(['code', 'status', 'meaning', 'Retry-After'], table)}\n`;
}
