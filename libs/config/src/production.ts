/** What is wrong with a variable, without its value. */
export interface Problem {
  variable: string;
  must: string;
}

type Rule = (value: string) => string | null;

/** Variables that development does without, or shares, and production does not. */
const NEEDED = [
  'REDIS_BLOB_URL',
  'AUDIT_TLS_CERT_FILE',
  'AUDIT_TLS_KEY_FILE',
  'AUDIT_TLS_CA_FILE',
  // Unset behind a balancer, all people would share the limits of one address; `none` says that there is none.
  'TRUSTED_PROXIES',
  'EVENT_MAC_KEY',
];
const SECRET = /(_KEYS?|_KEK|_SECRET)$/;
/** Names and texts that people, examples and our own tools use where nobody attacks. */
const NOT_SECRET = /^(dev|test|demo)\b|^(dev|test|demo)[-_.]|change.?me|default|example|password|secret/i;
const DISTINCT_MIN = 8;

const redis: Rule = (text) => {
  if (!URL.canParse(text)) return null;
  const { protocol, password } = new URL(text);
  if (protocol !== 'rediss:') return 'must be a rediss:// URL in production: Redis carries sessions and jobs';
  return password === '' ? 'must have a password in production: rediss://USER:PASSWORD@HOST' : null;
};

/** Stronger than the code asks for is fine; weaker would make a grant or a strike that a fail-over forgets. */
const mongo: Rule = (text) => {
  const options = new URLSearchParams(text.split('?')[1] ?? '');
  const get = (name: string) => [...options].find(([key]) => key.toLowerCase() === name)?.[1];
  const w = get('w');
  if (w !== undefined && w !== 'majority') return 'must not weaken the write concern in production: leave w out, or w=majority'; // prettier-ignore
  if (get('journal') === 'false' || get('j') === 'false') return 'must not turn the journal off in production';
  return null;
};

const logLevel: Rule = (text) => (text === 'debug' ? 'must not be debug in production' : null);

const sessionTokens: Rule = (text) =>
  text === 'yes' ? 'must not be yes in production: whoever has the token of a session can do all that it can' : null;

const staffReads: Rule = (text) =>
  text === 'pwd' ? 'must not be pwd in production: a stolen password of staff would show who everybody is' : null;

const secret: Rule = (text) => {
  const bad = text.split(/[,\s]+/).some((part) => {
    const colon = part.indexOf(':');
    const [name, value] = colon < 0 ? ['', part] : [part.slice(0, colon), part.slice(colon + 1)];
    const bytes = Buffer.from(value, 'base64url');
    return NOT_SECRET.test(name) || NOT_SECRET.test(value) || new Set(bytes).size < DISTINCT_MIN;
  });
  return bad ? 'must not be a secret for development in production: make one with countersign keys new' : null;
};

function ruleOf(name: string): Rule | null {
  if (name === 'REDIS_URL' || name === 'REDIS_BLOB_URL') return redis;
  if (name === 'MONGODB_URI') return mongo;
  if (name === 'LOG_LEVEL') return logLevel;
  if (name === 'ALLOW_SESSION_TOKEN_INTROSPECTION') return sessionTokens;
  if (name === 'STAFF_READS') return staffReads;
  return SECRET.test(name) ? secret : null;
}

/** What is fit for development only. Of each variable that the process knows, the first thing that is wrong. */
export function productionProblems(names: readonly string[], given: Readonly<Record<string, string>>): Problem[] {
  const problems: Problem[] = [];
  for (const name of names) {
    const value = given[name];
    if (value === undefined) {
      if (NEEDED.includes(name)) problems.push({ variable: name, must: 'must be set in production' });
      continue;
    }
    const must = ruleOf(name)?.(value) ?? null;
    if (must !== null) problems.push({ variable: name, must });
  }
  if (given.REDIS_BLOB_URL && sameServer(given.REDIS_URL, given.REDIS_BLOB_URL)) {
    const must = 'must be another server than REDIS_URL in production: one without persistence';
    problems.push({ variable: 'REDIS_BLOB_URL', must });
  }
  return problems;
}

function sameServer(a: string | undefined, b: string): boolean {
  return a !== undefined && URL.canParse(a) && URL.canParse(b) && new URL(a).host === new URL(b).host;
}

/** What a deployment may hold while nobody attacks it: each is refused by the rule of its variable, if there is one. */
const FIT_FOR_DEVELOPMENT = [
  'redis://localhost',
  'mongodb://localhost/?w=1',
  'http://localhost',
  'smtp://localhost',
  'debug',
  'dev',
  'yes',
  'pwd',
];

/** What production asks of a variable beyond its type, in words for the documentation; null if nothing. */
export function productionDemand(name: string): string | null {
  if (NEEDED.includes(name)) return 'must be set in production';
  const rule = ruleOf(name);
  if (!rule) return null;
  return FIT_FOR_DEVELOPMENT.map(rule).find((must) => must !== null) ?? null;
}
