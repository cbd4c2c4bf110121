import { LastAdminError } from '#accounts';
import { Problem } from '../http/problem.js';

/** What would leave nobody who is administrator is refused by that name. */
export async function refusingLastAdmin<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw error instanceof LastAdminError ? new Problem('last_admin') : error;
  }
}
