import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { mailRowSchema, outboxEventSchema } from '#contracts';
import { uuidOf } from '#sealing';
import { malformedEvent } from './malformed.js';
import { sortGuardOutbox, sortSystemOutbox } from './outbox-entry.js';

const userId = randomUUID();
const now = new Date('2026-11-23T12:00:00Z');
const event = (more: object = {}) => ({ eventId: randomUUID(), userId, type: 'failed', timestamp: now, ...more });

describe('outbox entries', () => {
  it('takes sound entries over as they are', () => {
    const sealed = { parts: [{ part: 'similarity', data: 'c2VhbGVk' }], tags: [] };
    const [e, mailId] = [event({ sealed, charged: true, reason: 'mismatch' }), 'lock-1'];
    const mail = { kind: 'mail', mailId, template: 'face_locked', params: { lockMinutes: 30 }, at: now };
    expect(sortGuardOutbox(userId, [{ kind: 'event', event: e }, mail], now)).toEqual({
      events: [e],
      mails: [{ _id: mailId, userId, template: 'face_locked', params: { lockMinutes: 30 }, createdAt: now }],
      ids: [e.eventId, mailId],
      malformed: 0,
    });
  });

  it('keeps of a malformed event its id and what is sound, and nothing that no one has looked at', () => {
    const eventId = randomUUID();
    const sealed = { parts: [{ part: 'origin', data: 'c2VhbGVk' }], tags: [] };
    const bad = event({ eventId, type: 'no such type', charged: 7, sealed, deviceModel: 'canary', password: 'canary' });
    const batch = sortGuardOutbox(userId, [{ kind: 'event', event: bad }], now);
    expect(batch).toEqual({
      events: [{ eventId, userId, type: 'malformed', timestamp: now, sealed }],
      mails: [],
      ids: [eventId],
      malformed: 1,
    });
  });

  it.each(['erasure_completed', 'pruned', 'era_opened'])(
    'core 5: `%s` out of an outbox explains nothing: only audit itself writes it',
    (type) => {
      const own = { events: [expect.objectContaining({ type: 'malformed' })], malformed: 1 };
      expect(sortGuardOutbox(userId, [{ kind: 'event', event: event({ type }) }], now)).toMatchObject(own);
      expect(sortSystemOutbox([event({ type, userId: null })], now)).toMatchObject(own);
    },
  );

  it("does not let one user's outbox write into another's trail", () => {
    const foreign = event({ userId: randomUUID() });
    const { events } = sortGuardOutbox(userId, [{ kind: 'event', event: foreign }], now);
    expect(events).toEqual([expect.objectContaining({ userId, type: 'malformed' })]);
  });

  it('makes a storable event, with an id to pull it by, of anything at all, and the same one every time', () => {
    fc.assert(
      fc.property(fc.anything(), (raw) => {
        for (const entry of [raw, { kind: 'event', event: raw }, { kind: 'mail', mailId: raw }]) {
          const batch = sortGuardOutbox(userId, [entry], now);
          expect(batch.ids).toHaveLength(1);
          for (const e of batch.events) expect(outboxEventSchema.safeParse(e).success).toBe(true);
          for (const m of batch.mails) expect(mailRowSchema.safeParse(m).success).toBe(true);
          expect(sortGuardOutbox(userId, [entry], now)).toEqual(batch);
        }
        const [e] = sortSystemOutbox([raw], now).events;
        expect(outboxEventSchema.safeParse(e).success).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it('tells two malformed entries without id apart by their content, not by the order of their fields', () => {
    const of = (raw: unknown): string => malformedEvent(raw, { userId, receivedAt: now }).eventId;
    expect(of({ a: 1, b: { c: 2, d: 3 } })).toBe(of({ b: { d: 3, c: 2 }, a: 1 }));
    expect(of({ a: 1 })).not.toBe(of({ a: 2 }));
    expect(uuidOf('x')).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});
