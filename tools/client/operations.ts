/** What a relying application and its pages need of the API: the operations that libs/client has types for. */
export const OPERATIONS = [
  'POST /v1/auth/login',
  'POST /v1/auth/logout',
  'GET /v1/auth/session',
  'POST /v1/sessions/tokens',
  'POST /v1/sessions/introspect',
  'POST /v1/face/attempts',
  'POST /v1/face/attempts/{id}/steps/{n}',
  'GET /v1/face/attempts/{id}',
  'DELETE /v1/face/attempts/{id}',
  'POST /v1/recovery/codes',
  'POST /v1/recovery/verify',
] as const;
