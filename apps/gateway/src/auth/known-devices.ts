import { randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { UserRepository, type UserRow } from '#accounts';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';
import { Keys } from '../store/keys.js';

const COOKIE = '__Host-countersign-known';
/** People who share a browser; the least recent gives way. */
const ACCOUNTS_MAX = 5;
const DAY_SECONDS = 24 * 60 * 60;

/** What of one account stands in the cookie. No name: whose it is says only the digest, to who knows the e-mail. */
interface Entry {
  epoch: string;
  issuedAt: string;
  id: string;
  mac: string;
}
const ENTRY = /^(?<epoch>\d{1,9})\.(?<issuedAt>\d{1,11})\.(?<id>[\w-]{16})\.(?<mac>[\w-]{43})$/;

/**
 * Device cookies as OWASP describes them ("Slow Down Online Guessing Attacks with Device Cookies"): a client that has
 * entered an account before is told from strangers, so that their guesses do not keep it out. The cookie is signed, for
 * one account each, and void once its credentials are renewed (`sessionEpoch`). It proves nothing and opens nothing:
 * with it a password is tried on a budget of its own. Not a device key, which signs attempts.
 */
@Injectable()
export class KnownDevices {
  private readonly lifeSeconds: number;

  constructor(
    private readonly keys: Keys,
    private readonly users: UserRepository,
    @Inject(GATEWAY_CONFIG) config: GatewayConfig,
  ) {
    this.lifeSeconds = config.LOGIN_KNOWN_DEVICE_DAYS * DAY_SECONDS;
  }

  /** The id under which this client's tries at that account are counted; null for a stranger to it. */
  async find(cookies: string | undefined, email: string): Promise<string | null> {
    const entry = this.entries(cookies).find((one) => this.isOf(one, email));
    if (!entry) return null;
    // Read only for who has entered this account before: others learn nothing by the time of it.
    const user = await this.users.findByEmail(email);
    return user && String(user.sessionEpoch) === entry.epoch ? entry.id : null;
  }

  /** Sets the cookie after somebody showed that the account is his. Who shares the browser stays known. */
  remember(
    reply: FastifyReply,
    cookies: string | undefined,
    { email, sessionEpoch }: Pick<UserRow, 'email' | 'sessionEpoch'>,
  ): void {
    const before = this.entries(cookies);
    const own = before.find((one) => this.isOf(one, email));
    const made = {
      epoch: String(sessionEpoch),
      issuedAt: String(nowSeconds()),
      // The same one goes on: entering once more is no way to a second budget.
      id: own?.id ?? randomBytes(12).toString('base64url'),
    };
    const mac = this.keys.mac('known-device', email, made.epoch, made.issuedAt, made.id).toString('base64url');
    const others = before.filter((one) => one !== own).slice(0, ACCOUNTS_MAX - 1);
    const value = [{ ...made, mac }, ...others].map((one) => `${one.epoch}.${one.issuedAt}.${one.id}.${one.mac}`);
    const attributes = `Path=/; Max-Age=${this.lifeSeconds}; Secure; HttpOnly; SameSite=Lax`;
    void reply.header('set-cookie', `${COOKIE}=${value.join('~')}; ${attributes}`);
  }

  private isOf({ epoch, issuedAt, id, mac }: Entry, email: string): boolean {
    return this.keys.isMac(Buffer.from(mac, 'base64url'), 'known-device', email, epoch, issuedAt, id);
  }

  /** Of the right form and not too old; whether genuine, `isOf` says. */
  private entries(cookies: string | undefined): Entry[] {
    const [, value = ''] =
      (cookies ?? '')
        .split(';')
        .map((pair) => pair.trim().split('='))
        .find(([name]) => name === COOKIE) ?? [];
    return value
      .split('~')
      .slice(0, ACCOUNTS_MAX)
      .flatMap((text) => (ENTRY.exec(text)?.groups as Entry | undefined) ?? [])
      .filter(({ issuedAt }) => nowSeconds() - Number(issuedAt) < this.lifeSeconds);
  }
}

const nowSeconds = (): number => Math.floor(Date.now() / 1_000);
