import { Inject, Injectable } from '@nestjs/common';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';
import { AddressLimiter, Limiter, refuseAfter } from '../redis/limiter.js';
import { RedisStore } from '../redis/redis.js';
import { Keys } from '../store/keys.js';

/**
 * Who tries a password. `known`: a device from which the account was entered before, or one of its sessions, by an id
 * that only who could enter has got. All others are strangers.
 */
export type Trier = { kind: 'known'; id: string } | { kind: 'stranger'; email: string; address: string | undefined };

/**
 * Slows guessing of passwords. Strangers share what an account bears: by account and network together, by network, by
 * account. An account is throttled, never locked (CWE-645): whoever is known to it has a budget that strangers cannot
 * spend, and a mailed link opens one try past all of this.
 */
@Injectable()
export class LoginThrottle {
  private readonly known: Limiter;
  private readonly pairs: AddressLimiter;
  private readonly networks: AddressLimiter;
  private readonly accounts: Limiter;

  constructor(redis: RedisStore, keys: Keys, @Inject(GATEWAY_CONFIG) config: GatewayConfig) {
    const budget = (points: number) => ({ points, seconds: config.LOGIN_WINDOW_MINUTES * 60 });
    this.known = new Limiter(redis, keys, 'login-known', budget(config.LOGIN_TRIES_PER_KNOWN_DEVICE));
    this.pairs = new AddressLimiter(redis, keys, 'login-pair', budget(config.LOGIN_TRIES_PER_NETWORK));
    this.networks = new AddressLimiter(redis, keys, 'login-network', budget(config.LOGIN_ACCOUNTS_PER_NETWORK));
    this.accounts = new Limiter(redis, keys, 'login-account', budget(config.LOGIN_TRIES_PER_ACCOUNT));
  }

  /** Counts a try before it is checked, so that parallel tries cannot slip through. */
  async take(trier: Trier): Promise<void> {
    if (trier.kind === 'known') return refuseAfter((await this.known.take(trier.id)).refusedMs);
    const { email, address } = trier;
    const pair = await this.pairs.take(address, about(email));
    refuseAfter(pair.refusedMs);
    // Accounts are counted, not tries: an office of five hundred mistypes more often than anybody who sprays may try.
    refuseAfter(
      pair.count === 1 ? (await this.networks.take(address)).refusedMs : await this.networks.refusedMs(address),
    );
    refuseAfter((await this.accounts.take(email)).refusedMs);
  }

  /** After a right password: neither this try counts nor what was mistyped before it from the same network. */
  async giveBack(trier: Trier): Promise<void> {
    if (trier.kind === 'known') return this.known.giveBack(trier.id);
    const { email, address } = trier;
    if (await this.pairs.forget(address, about(email))) await this.networks.giveBack(address);
    await this.accounts.giveBack(email);
  }
}

const about = (email: string): string => `${email}\n`;
