import { Inject, Injectable } from '@nestjs/common';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';
import { AddressLimiter, Limiter, refuseAfter } from '../redis/limiter.js';
import { RedisStore } from '../redis/redis.js';
import { Keys } from '../store/keys.js';

/**
 * Slows guessing of passwords: by account and network together, by network, by account. An account is throttled, never
 * locked (CWE-645): the first is the tight limit, so that one stranger does not use up what the account has.
 */
@Injectable()
export class LoginThrottle {
  private readonly pairs: AddressLimiter;
  private readonly networks: AddressLimiter;
  private readonly accounts: Limiter;

  constructor(redis: RedisStore, keys: Keys, @Inject(GATEWAY_CONFIG) config: GatewayConfig) {
    const budget = (points: number) => ({ points, seconds: config.LOGIN_WINDOW_MINUTES * 60 });
    const { LOGIN_TRIES_PER_NETWORK, LOGIN_ACCOUNTS_PER_NETWORK, LOGIN_TRIES_PER_ACCOUNT } = config;
    this.pairs = new AddressLimiter(redis, keys, 'login-pair', budget(LOGIN_TRIES_PER_NETWORK));
    this.networks = new AddressLimiter(redis, keys, 'login-network', budget(LOGIN_ACCOUNTS_PER_NETWORK));
    this.accounts = new Limiter(redis, keys, 'login-account', budget(LOGIN_TRIES_PER_ACCOUNT));
  }

  /** Counts a try before it is checked, so that parallel tries cannot slip through. */
  async take(email: string, address: string | undefined): Promise<void> {
    const pair = await this.pairs.take(address, about(email));
    refuseAfter(pair.refusedMs);
    // Accounts are counted, not tries: an office of five hundred mistypes more often than anybody who sprays may try.
    refuseAfter(
      pair.count === 1 ? (await this.networks.take(address)).refusedMs : await this.networks.refusedMs(address),
    );
    refuseAfter((await this.accounts.take(email)).refusedMs);
  }

  /** After a right password: neither this try counts nor what was mistyped before it from the same network. */
  async giveBack(email: string, address: string | undefined): Promise<void> {
    if (await this.pairs.forget(address, about(email))) await this.networks.giveBack(address);
    await this.accounts.giveBack(email);
  }
}

const about = (email: string): string => `${email}\n`;
