import { z } from 'zod';

/** Session levels (`acr`), in rising order. Nothing but a verified attempt yields the last. */
export const ACR = {
  pwd: 'urn:countersign:pwd',
  otp: 'urn:countersign:pwd+otp',
  face: 'urn:countersign:pwd+face',
} as const;
export type Acr = (typeof ACR)[keyof typeof ACR];
export const acrSchema = z.enum([ACR.pwd, ACR.otp, ACR.face]);

/** RFC 8176 authentication method references. */
export const amrSchema = z.array(z.enum(['pwd', 'otp', 'face', 'mfa']));
export type Amr = z.infer<typeof amrSchema>;

export const ROLES = ['user', 'security', 'auditor', 'privacy', 'admin'] as const;
export type Role = (typeof ROLES)[number];
export const roleSchema = z.enum(ROLES);
