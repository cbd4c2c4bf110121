import { z } from 'zod';

/** What a service credential may be used for. A closed list; a client has exactly those it was given. */
export const CLIENT_SCOPES = ['introspect'] as const;
export type ClientScope = (typeof CLIENT_SCOPES)[number];
export const clientScopeSchema = z.enum(CLIENT_SCOPES);
