import { isSessionOf, type UserRow } from './user.js';

describe('whether an account stands by a session', () => {
  const [stays, other] = ['11111111-1111-4111-8111-111111111111', '22222222-2222-4222-8222-222222222222'];
  const account = (more: Partial<UserRow>): UserRow =>
    ({
      sessionEpoch: 5,
      disabled: false,
      addressDispute: null,
      endedSessions: [],
      staying: null,
      ...more,
    }) as unknown as UserRow;
  const staying = { sessionId: stays, epoch: 5 };

  it('B15: the session that stays does so before its record says it, over several changes, and no other', () => {
    for (const epoch of [3, 4, 5]) expect(isSessionOf(account({ staying }), { sessionId: stays, epoch })).toBe(true);
    expect(isSessionOf(account({ staying }), { sessionId: stays, epoch: 6 })).toBe(false);
    expect(isSessionOf(account({ staying }), { sessionId: other, epoch: 4 })).toBe(false);
    expect(isSessionOf(account({}), { sessionId: stays, epoch: 4 })).toBe(false);
  });

  it('B15: whatever ends all sessions afterwards ends this one too, and so does what ends it alone', () => {
    expect(isSessionOf(account({ staying, sessionEpoch: 6 }), { sessionId: stays, epoch: 4 })).toBe(false);
    expect(isSessionOf(account({ staying, sessionEpoch: 6 }), { sessionId: stays, epoch: 5 })).toBe(false);
    expect(isSessionOf(account({ staying, disabled: true }), { sessionId: stays, epoch: 4 })).toBe(false);
    expect(isSessionOf(account({ staying, endedSessions: [stays] }), { sessionId: stays, epoch: 4 })).toBe(false);
  });
});
