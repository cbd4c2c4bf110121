import type { Role } from '#contracts';
import type { ClientScope } from '#service-clients';

/**
 * What a session must be worth. `raised`: pwd+recovery or pwd+face. `manage`: the same, but for an account that never had a
 * face a password will do, as there is nothing yet that a stolen password could replace. `reads`: what staff need to look at
 * people and events, as STAFF_READS says.
 */
export type Level = 'pwd' | 'manage' | 'raised' | 'reads';

export type Access =
  | { who: 'anyone' }
  /** A relying application by its own credential. */
  | { who: 'service'; scope: ClientScope }
  | {
      who: 'session';
      level: Level;
      /** Any of them; none named: whoever is signed in, about himself. */
      roles: readonly Role[];
      /**
       * Whether the account is read and the session's epoch compared, so that an ended session that Redis revived is
       * refused. Left out for logout, and where a capture is on its way: its guard knows the session that began it.
       */
      account: boolean;
      /** What cannot be undone asks for a password or a face of the last RECENT_SECONDS besides. */
      recent?: true;
      /** The person that the path names must be another than the caller. */
      others?: true;
    };

/** How old a password or a face may be where the policy says `recent`. A mailed code does not count. */
export const RECENT_SECONDS = 300;

const anyone: Access = { who: 'anyone' };
const service = (scope: ClientScope): Access => ({ who: 'service', scope });
const own = (level: Level = 'pwd'): Access => ({ who: 'session', level, roles: [], account: true });
const anySession: Access = { who: 'session', level: 'pwd', roles: [], account: false };
/** For what cannot be undone. */
const ownRecent = (level: Level): Access => ({ who: 'session', level, roles: [], account: true, recent: true });
const staffReads = (...roles: Role[]): Access => ({ who: 'session', level: 'reads', roles, account: true });
/** About other people only: nobody gives himself a role, opens his own lock or shuts himself out. */
const staffWrites = (...roles: Role[]): Access => ({
  who: 'session',
  level: 'raised',
  roles,
  account: true,
  others: true,
});

/**
 * Who may call what: the one place that says so. A route without a line keeps the gateway from starting, and so does a
 * line without a route. Beyond it a handler looks only for what is the caller's own.
 */
export const POLICY: Readonly<Record<string, Access>> = {
  'GET /health/live': anyone,
  'GET /health/ready': anyone,
  'GET /health/connection': anyone,
  'GET /docs': anyone,
  'GET /docs-json': anyone,
  // Pages behind mailed links. Each does nothing before its button is pressed: mail scanners open links.
  'GET /verify-email': anyone,
  'GET /finish-registration': anyone,
  'GET /reset-password': anyone,
  'GET /log-in': anyone,
  'GET /accept-invitation': anyone,
  'GET /confirm-email-change': anyone,
  'GET /cancel-email-change': anyone,
  'GET /undo-email-change': anyone,
  'GET /object-email-change': anyone,
  'GET /cancel-erasure': anyone,
  'GET /not-me': anyone,

  'POST /v1/auth/register': anyone,
  'POST /v1/auth/register/finish': anyone,
  'POST /v1/auth/login': anyone,
  'POST /v1/auth/login/link': anyone,
  'POST /v1/auth/login/link/confirm': anyone,
  'POST /v1/auth/email/verify': anyone,
  'POST /v1/auth/logout': anySession,
  'GET /v1/auth/session': own(),
  'PUT /v1/auth/password': own('manage'),
  'POST /v1/auth/password/verify': own(),
  'POST /v1/auth/password/reset': anyone,
  'POST /v1/auth/password/reset/confirm': anyone,
  'POST /v1/auth/invitation/accept': anyone,
  'POST /v1/auth/email/resend': own(),
  'POST /v1/auth/email/change': own('manage'),
  'POST /v1/auth/email/change/confirm': anyone,
  'POST /v1/auth/email/change/cancel': anyone,
  'POST /v1/auth/email/change/undo': anyone,
  'POST /v1/auth/email/change/object': anyone,
  // Stopping takes no more than being signed in.
  'DELETE /v1/auth/email/change': own(),
  'GET /v1/auth/sessions': own(),
  'DELETE /v1/auth/sessions/:id': own('manage'),

  'POST /v1/sessions/tokens': own(),
  'POST /v1/sessions/introspect': service('introspect'),

  'GET /v1/face/consent': own(),
  'PUT /v1/face/consent': own(),
  'DELETE /v1/face/consent': own(),
  'PUT /v1/face/preferences': own('manage'),
  'DELETE /v1/face/enrolment': own(),
  'POST /v1/face/enrolments': own('manage'),
  'POST /v1/face/practice': own(),
  'POST /v1/face/attempts': own(),
  'POST /v1/face/attempts/:id/steps/:n': anySession,
  'GET /v1/face/attempts/:id': anySession,
  'DELETE /v1/face/attempts/:id': anySession,

  'POST /v1/recovery/codes': own(),
  'POST /v1/recovery/verify': own(),

  'POST /v1/security/not-me': anyone,
  'GET /v1/security/events': own(),
  'GET /v1/admin/security-events': staffReads('security'),
  'GET /v1/admin/security-events.csv': staffReads('security'),
  'POST /v1/admin/users': staffWrites('admin'),
  'GET /v1/admin/users': staffReads('admin', 'security'),
  'POST /v1/admin/users/:id/disable': staffWrites('admin'),
  'POST /v1/admin/users/:id/enable': staffWrites('admin'),
  'PUT /v1/admin/users/:id/roles': staffWrites('admin'),
  'GET /v1/admin/role-requests': staffReads('admin'),
  'POST /v1/admin/role-requests/:id/confirm': staffWrites('admin'),
  'DELETE /v1/admin/role-requests/:id': staffWrites('admin'),
  'GET /v1/admin/users/:id/face': staffReads('security'),
  'POST /v1/admin/users/:id/unlock': staffWrites('security'),
  'POST /v1/admin/users/:id/email/decide': staffWrites('security'),
  'POST /v1/admin/users/:id/require-re-enrolment': staffWrites('security'),

  'POST /v1/privacy/erasures': ownRecent('manage'),
  // Not by whoever only knows the password.
  'DELETE /v1/privacy/erasures': own('manage'),
  'POST /v1/privacy/cancel-erasure': anyone,
  // Whoever holds the receipt's random id: the session is gone by then, and the answer names nobody.
  'GET /v1/privacy/erasures/:id': anyone,
};

/** HEAD is where GET is, for the same callers (RFC 9110, 9.1). */
export function accessOf(method: string, route: string | undefined): Access | undefined {
  const line = `${method === 'HEAD' ? 'GET' : method} ${route}`;
  return Object.hasOwn(POLICY, line) ? POLICY[line] : undefined;
}

const ROUTES = Object.keys(POLICY).map((line) => {
  const [method = '', route = ''] = line.split(' ');
  return { method, pattern: new RegExp(`^${route.replaceAll('.', '\\.').replace(/:[a-z]+/g, '[^/]+')}$`) };
});

/** The methods that a path takes, none for a path that is nowhere. */
export const methodsAt = (path: string): string[] =>
  ROUTES.filter(({ pattern }) => pattern.test(path)).flatMap(({ method }) =>
    method === 'GET' ? ['GET', 'HEAD'] : [method],
  );
