import { isCommonPassword, type UserRow, verifyPassword } from '#accounts';
import { Problem } from '../http/problem.js';

/**
 * What a person may choose: not what everybody tries, and not the one that a demanded reset is or was
 * about. @throws password_too_common, password_reused
 */
export async function assertNewPassword(password: string, user: UserRow): Promise<void> {
  if (isCommonPassword(password, user.email)) throw new Problem('password_too_common');
  const { passwordHash, barredPasswordHash, mustResetPassword } = user;
  if (barredPasswordHash && (await verifyPassword(barredPasswordHash, password))) throw new Problem('password_reused');
  if (mustResetPassword && passwordHash !== barredPasswordHash && (await verifyPassword(passwordHash, password)))
    throw new Problem('password_reused');
}
