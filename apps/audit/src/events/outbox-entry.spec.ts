import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { EventProofs, proofOfOlder } from '#audit-log';
import { mailRowSchema, outboxEventSchema } from '#contracts';
import { uuidOf } from '#sealing';
import { malformedEvent } from './malformed.js';
import { sortGuardOutbox, sortSystemOutbox } from './outbox-entry.js';

const userId = randomUUID();
const now = new Date('2026-11-23T12:00:00Z');
const believed = { receivedAt: now, proofs: null };
const event = (more: object = {}) => ({ eventId: randomUUID(), userId, type: 'failed', timestamp: now, ...more });

describe('outbox entries', () => {
  it('takes sound entries over as they are', () => {
    const sealed = { parts: [{ part: 'similarity', data: 'c2VhbGVk' }], tags: [] };
    const [e, mailId] = [event({ sealed, charged: true, reason: 'mismatch' }), 'lock-1'];
    const mail = { kind: 'mail', mailId, template: 'face_locked', params: { lockMinutes: 30 }, at: now };
    expect(sortGuardOutbox(userId, [{ kind: 'event', event: e }, mail], believed)).toEqual({
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
    const batch = sortGuardOutbox(userId, [{ kind: 'event', event: bad }], believed);
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
      expect(sortGuardOutbox(userId, [{ kind: 'event', event: event({ type }) }], believed)).toMatchObject(own);
      expect(sortSystemOutbox([event({ type, userId: null })], believed)).toMatchObject(own);
    },
  );

  it("does not let one user's outbox write into another's trail", () => {
    const foreign = event({ userId: randomUUID() });
    const { events } = sortGuardOutbox(userId, [{ kind: 'event', event: foreign }], believed);
    expect(events).toEqual([expect.objectContaining({ userId, type: 'malformed' })]);
  });

  it('makes a storable event, with an id to pull it by, of anything at all, and the same one every time', () => {
    fc.assert(
      fc.property(fc.anything(), (raw) => {
        for (const entry of [raw, { kind: 'event', event: raw }, { kind: 'mail', mailId: raw }]) {
          const batch = sortGuardOutbox(userId, [entry], believed);
          expect(batch.ids).toHaveLength(1);
          for (const e of batch.events) expect(outboxEventSchema.safeParse(e).success).toBe(true);
          for (const m of batch.mails) expect(mailRowSchema.safeParse(m).success).toBe(true);
          expect(sortGuardOutbox(userId, [entry], believed)).toEqual(batch);
        }
        const [e] = sortSystemOutbox([raw], believed).events;
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

  describe('core 5: with EVENT_MAC_KEY, what no process of ours made is malformed', () => {
    const proofs = new EventProofs([{ id: 'k1', bytes: Buffer.alloc(32, 1) }]);
    const measure = { receivedAt: now, proofs };
    const personal = { parts: [{ part: 'origin' as const, data: 'c2VhbGVk' }], tags: ['a0123456789012345678901'] };
    const other = { part: 'origin' as const, data: 'c3dhcHBlZA' };
    const known = {
      types: ['success', 'failed'] as const,
      fields: { sessionId: randomUUID(), detail: { b: 1, a: ['x'] } },
    };
    const genuine = () => {
      const eventId = randomUUID();
      const sealed = { ...personal, proof: proofs.make(userId, eventId, known, personal) };
      return { eventId, userId, type: 'failed', timestamp: now, ...known.fields, reason: 'mismatch', sealed };
    };
    const typeOf = (e: object, by = measure): unknown =>
      sortGuardOutbox(userId, [{ kind: 'event', event: e }], by).events[0]?.type;

    it('takes one of those types, with what the update adds, whatever the order of fields, by an older key too', () => {
      expect(typeOf(genuine())).toBe('failed');
      expect(typeOf({ ...genuine(), type: 'success', reason: undefined, timestamp: new Date() })).toBe('success');
      expect(typeOf({ ...genuine(), detail: { a: ['x'], b: 1 } })).toBe('failed');
      const newer = new EventProofs([
        { id: 'k2', bytes: Buffer.alloc(32, 2) },
        { id: 'k1', bytes: Buffer.alloc(32, 1) },
      ]);
      expect(typeOf(genuine(), { ...measure, proofs: newer })).toBe('failed');
      expect(
        typeOf(genuine(), { ...measure, proofs: new EventProofs([{ id: 'k2', bytes: Buffer.alloc(32, 2) }]) }),
      ).toBe('malformed');
    });

    it.each<[string, (e: ReturnType<typeof genuine>) => object]>([
      ['another type', (e) => ({ ...e, type: 'enrolled' })],
      ['another session', (e) => ({ ...e, sessionId: randomUUID() })],
      ['another detail', (e) => ({ ...e, detail: { a: ['y'], b: 1 } })],
      ['no detail', ({ detail: _detail, ...e }) => e],
      ['another id', (e) => ({ ...e, eventId: randomUUID() })],
      ['other parts', (e) => ({ ...e, sealed: { ...e.sealed, parts: [other] } })],
      ['fewer parts', (e) => ({ ...e, sealed: { ...e.sealed, parts: [] } })],
      ['other tags', (e) => ({ ...e, sealed: { ...e.sealed, tags: [] } })],
      [
        'more types',
        (e) => ({
          ...e,
          type: 'enrolled',
          sealed: { ...e.sealed, proof: { ...e.sealed.proof, types: ['success', 'failed', 'enrolled'] } },
        }),
      ],
      ['fewer fields', (e) => ({ ...e, sealed: { ...e.sealed, proof: { ...e.sealed.proof, fields: [] } } })],
      ['said to be older', (e) => ({ ...e, sealed: { ...e.sealed, proof: { ...e.sealed.proof, older: true } } })],
      ['no proof', (e) => ({ ...e, sealed: personal })],
      ['nothing sealed', ({ sealed: _sealed, ...e }) => e],
    ])('not with %s', (_, change) => {
      expect(typeOf(change(genuine()))).toBe('malformed');
    });

    it('not in the outbox of a process without a proof, and what `migrate` vouched for says so for ever', () => {
      const nobodys = { eventId: randomUUID(), userId: null, type: 'login_failed' as const, timestamp: now };
      expect(sortSystemOutbox([nobodys], measure)).toMatchObject({ events: [{ type: 'malformed' }], malformed: 1 });
      const sealed = { parts: [], tags: [], proof: proofOfOlder(proofs, nobodys) };
      expect(sortSystemOutbox([{ ...nobodys, sealed }], measure)).toMatchObject({
        events: [{ type: 'login_failed', detail: { beforeProof: true } }],
        malformed: 0,
      });
      const later = { ...nobodys, sealed, timestamp: new Date(now.getTime() + 1) };
      expect(sortSystemOutbox([later], measure)).toMatchObject({ events: [{ type: 'malformed' }] });
    });
  });
});
