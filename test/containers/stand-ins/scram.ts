import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto';

const ITERATIONS = 15_000;
const LENGTH = 32;

/** What a server keeps of a password (RFC 5802, with SHA-256: RFC 7677). All base64. */
export interface ScramUser {
  salt: string;
  storedKey: string;
  serverKey: string;
}

const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
const hash = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest();

export function scramUser(password: string): ScramUser {
  const salt = randomBytes(28);
  const salted = pbkdf2Sync(password, salt, ITERATIONS, LENGTH, 'sha256');
  const base64 = (bytes: Buffer): string => bytes.toString('base64');
  return { salt: base64(salt), storedKey: base64(hash(hmac(salted, 'Client Key'))), serverKey: base64(hmac(salted, 'Server Key')) }; // prettier-ignore
}

/** The server's half of one SCRAM-SHA-256 conversation. */
export class ScramConversation {
  private readonly first: string;
  private readonly bare: string;
  readonly name: string;

  /** @param clientFirst the client's first message, `n,,n=NAME,r=NONCE`. */
  constructor(
    clientFirst: string,
    private readonly userOf: (name: string) => ScramUser | undefined,
  ) {
    this.bare = clientFirst.replace(/^n,,/, '');
    const { n = '', r = '' } = attributes(this.bare);
    this.name = n.replaceAll('=2C', ',').replaceAll('=3D', '=');
    const salt = this.userOf(this.name)?.salt ?? randomBytes(28).toString('base64');
    this.first = `r=${r}${randomBytes(18).toString('base64')},s=${salt},i=${ITERATIONS}`;
  }

  get serverFirst(): string {
    return this.first;
  }

  /** The server's last message if the client knows the password, else null. */
  finish(clientFinal: string): string | null {
    const user = this.userOf(this.name);
    const { p = '', r } = attributes(clientFinal);
    if (!user || r !== attributes(this.first).r) return null;
    const message = `${this.bare},${this.first},${clientFinal.slice(0, clientFinal.lastIndexOf(',p='))}`;
    const signature = hmac(Buffer.from(user.storedKey, 'base64'), message);
    const proof = Buffer.from(p, 'base64');
    if (proof.length !== LENGTH) return null;
    const clientKey = Buffer.from(proof.map((byte, i) => byte ^ (signature[i] ?? 0)));
    if (!timingSafeEqual(hash(clientKey), Buffer.from(user.storedKey, 'base64'))) return null;
    return `v=${hmac(Buffer.from(user.serverKey, 'base64'), message).toString('base64')}`;
  }
}

const attributes = (message: string): Record<string, string> =>
  Object.fromEntries(message.split(',').map((part) => [part.slice(0, 1), part.slice(2)]));
