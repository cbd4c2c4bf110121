import { Injectable } from '@nestjs/common';
import { UserRepository, type UserRow } from '#accounts';
import { eventNetworkOf, type Origin } from '#contracts';
import { Mails } from '../mail/mail.module.js';
import { Keys } from '../store/keys.js';
import { RequestThrottle } from './request-throttle.js';

const UNKNOWN = 'unknown';

/** A device is what its client says it is (`deviceModel`), a network the /24 or /48 of its address. */
type Place = 'device' | 'network';

/**
 * From where an account was entered before, so that its owner is told when somebody enters it from elsewhere. Kept with
 * the account as keyed digests: the list tells nobody where its owner was. Whatever renews the credentials empties it
 * but for the place where that was done. It proves nothing: who sits in the owner's network and calls his device by
 * the same name is not told apart.
 */
@Injectable()
export class LoginPlaces {
  constructor(
    private readonly keys: Keys,
    private readonly users: UserRepository,
    private readonly mails: Mails,
    private readonly throttle: RequestThrottle,
  ) {}

  /** What the account shall know of that origin. */
  of(userId: string, origin: Origin): string[] {
    return textsOf(origin).map(([kind, text]) =>
      this.keys.mac('login-place', userId, kind, text).toString('base64url'),
    );
  }

  /** What of it is new to the account; nothing for an account that is older than its list, which begins with this login. */
  newTo(user: UserRow, origin: Origin): Place[] {
    if (user.knownPlaces === undefined) return [];
    const known = user.knownPlaces.map((text) => Buffer.from(text, 'base64url'));
    return textsOf(origin).flatMap(([kind, text]) =>
      known.some((digest) => this.keys.isMac(digest, 'login-place', user._id, kind, text)) ? [] : [kind],
    );
  }

  /**
   * After a login that is on record. Told first and remembered afterwards: one that a crash or the cap of such mails kept
   * from being told is new once more the next time.
   */
  async tell(user: UserRow, origin: Origin, fresh: readonly Place[]): Promise<void> {
    if (user.knownPlaces !== undefined) {
      if (fresh.length === 0 || !(await this.throttle.mayTellOfLogin(user._id))) return;
      await this.mails.send({ userId: user._id, template: 'login_new', params: { fresh: fresh.join(', ') }, origin });
    }
    const [device, network] = this.of(user._id, origin) as [string, string];
    const all = { device, network };
    const places = user.knownPlaces === undefined ? [device, network] : fresh.map((place) => all[place]);
    await this.users.rememberPlaces(user, places);
  }
}

const textsOf = ({ deviceModel, ipAddress }: Origin): [Place, string][] => [
  ['device', deviceModel ?? UNKNOWN],
  ['network', (ipAddress && eventNetworkOf(ipAddress)) ?? UNKNOWN],
];
