// Its containers of decorators want it loaded before them.
import 'reflect-metadata';
import { KeyObject, webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';

/** A server's certificate and its private key, PEM each. */
export interface ServerCertificate {
  certificate: string;
  key: string;
}

export interface Authority {
  /** Its own certificate, PEM: what clients trust. */
  certificate: string;
  issue(name: string, hosts: readonly string[]): Promise<ServerCertificate>;
}

/** P-256 with SHA-256: what every TLS library and browser takes. */
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const YEARS = 10;
const DAY_MS = 86_400_000;

/**
 * An authority for the servers of one installation. Its private key lives as long as the object and is never written:
 * nothing else can be signed with it later. Node reads certificates and makes none, hence `@peculiar/x509`.
 */
export async function newAuthority(): Promise<Authority> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const issuer = 'CN=Countersign internal CA';
  const notBefore = new Date(Date.now() - DAY_MS);
  const notAfter = new Date(Date.now() + YEARS * 365 * DAY_MS);
  const sign = async (subject: string, publicKey: webcrypto.CryptoKey, extensions: Extension[]): Promise<string> => {
    const certificate = await X509CertificateGenerator.create(
      { subject, issuer, notBefore, notAfter, publicKey, signingKey: keys.privateKey, signingAlgorithm: ALGORITHM, extensions }, // prettier-ignore
      webcrypto,
    );
    return `${certificate.toString('pem')}\n`;
  };
  const certificate = await sign(issuer, keys.publicKey, [
    new BasicConstraintsExtension(true, 0, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
  ]);
  const issue = async (name: string, hosts: readonly string[]): Promise<ServerCertificate> => {
    const own = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
    const names = hosts.map((value) => ({ type: isAddress(value) ? ('ip' as const) : ('dns' as const), value }));
    return {
      certificate: await sign(`CN=${name}`, own.publicKey, [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
        new SubjectAlternativeNameExtension(names),
      ]),
      key: KeyObject.from(own.privateKey).export({ type: 'pkcs8', format: 'pem' }).toString(),
    };
  };
  return { certificate, issue };
}

const isAddress = (host: string): boolean => /^[\d.]+$|:/.test(host);
