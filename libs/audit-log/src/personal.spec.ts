import { randomBytes, randomUUID } from 'node:crypto';
import { type KeySet, SealError } from '#sealing';
import { openMailOrigin, openPersonal, sealMailOrigin, sealPersonal, SearchTags } from './personal.js';
import { createEventSealer, newSubject, openSubject, rewrapped, SubjectKeys, type SubjectRow } from './subjects.js';

const key = (): Buffer => randomBytes(32);
const keks = (id = 'k1'): KeySet => [{ id, bytes: key() }];
const personal = { ipAddress: '192.0.2.7', deviceModel: 'Pixel 9', similarity: 0.25 };

describe('what is personal in an event', () => {
  it('opens for its own event, with its own key, and nowhere else', () => {
    const [eventId, dek] = [randomUUID(), key()];
    const parts = sealPersonal(eventId, personal, dek);
    expect(parts.map(({ part }) => part)).toEqual(['address', 'origin', 'similarity']);
    expect(openPersonal(eventId, parts, dek)).toEqual(personal);
    expect(openPersonal(randomUUID(), parts, dek)).toEqual({});
    expect(openPersonal(eventId, parts, key())).toEqual({});
    const swapped = parts.map(({ data }, i) => ({ part: parts[(i + 1) % 3]?.part ?? 'origin', data }));
    expect(openPersonal(eventId, swapped, dek)).toEqual({});
  });

  it('shows the network once the address is gone', () => {
    const [eventId, dek] = [randomUUID(), key()];
    const left = sealPersonal(eventId, personal, dek).filter(({ part }) => part === 'origin');
    expect(openPersonal(eventId, left, dek)).toEqual({ ipAddress: '192.0.2.0/24', deviceModel: 'Pixel 9' });
  });

  it("a mail's origin opens for its own person only", () => {
    const [userId, dek] = [randomUUID(), key()];
    const sealed = sealMailOrigin(userId, personal, dek);
    expect(openMailOrigin(userId, sealed, dek)).toEqual({ ipAddress: '192.0.2.7', deviceModel: 'Pixel 9' });
    expect(openMailOrigin(randomUUID(), sealed, dek)).toEqual({});
    expect(openMailOrigin(userId, sealed, key())).toEqual({});
  });
});

describe('search tags', () => {
  const tags = new SearchTags(keks());

  it('are found by address, network and device, whatever their spelling', () => {
    const [a, n, d] = tags.of({ ipAddress: '::ffff:192.0.2.7', deviceModel: 'Pixel 9' });
    expect([[a], [n], [d]]).toEqual([tags.address('192.0.2.7'), tags.address('192.0.2.0/24'), tags.device('PIXEL 9 ')]);
    expect(tags.of({})).toEqual([]);
  });

  it.each([
    ['2001:db8:0:2::5', '2001:DB8::2:0:0:0:5', '2001:db8:0::/48'],
    ['fe80::1%eth0', '[fe80::1]:4100', 'fe80::/48'],
    ['203.0.113.7:51001', '::ffff:cb00:7107', '203.0.113.99/24'],
  ])('case 5: %s is found as %s and in %s', (came, asked, network) => {
    const [a = '', n = ''] = tags.of({ ipAddress: came });
    expect(tags.address(asked)).toContain(a);
    expect(tags.address(network)).toContain(n);
  });

  it('case 5: what is no address has no tag', () => {
    expect(tags.of({ ipAddress: 'unknown' })).toEqual([]);
  });

  it('say nothing without the key, and an address is no device', () => {
    expect(new SearchTags(keks()).device('Pixel 9')).not.toEqual(tags.device('Pixel 9'));
    const [device = '', address = ''] = [...tags.device('192.0.2.7'), ...tags.address('192.0.2.7')];
    expect(device.slice(1)).not.toBe(address.slice(1));
  });

  it('are made by the newest key and found by each, while one replaces the other', () => {
    const [older] = keks('old');
    const both = new SearchTags([...keks('new'), older] as unknown as KeySet);
    const [made] = both.of({ deviceModel: 'Pixel 9' });
    const [before] = new SearchTags([older]).of({ deviceModel: 'Pixel 9' });
    expect(both.device('Pixel 9')).toEqual([made, before]);
    expect(made).not.toBe(before);
  });
});

describe('keys of subjects', () => {
  const kek = keks();
  const store = () => {
    const rows = new Map<string, SubjectRow>();
    let reads = 0;
    return {
      rows,
      reads: () => reads,
      find: async (ids: readonly string[]) => {
        reads += 1;
        return ids.flatMap((id) => rows.get(id) ?? []);
      },
      insert: async (row: SubjectRow) => void (rows.has(row._id) || rows.set(row._id, row)),
    };
  };

  it('are wrapped for their subject and opened by their KEK', () => {
    const row = newSubject('a', kek);
    expect(openSubject(row, kek).dek).toHaveLength(32);
    expect(() => openSubject(row, keks())).toThrow(SealError);
    expect(() => openSubject({ ...row, _id: 'b' }, kek)).toThrow(SealError);
  });

  it('are opened by an older KEK and wrapped anew by the newest', () => {
    const [newer] = keks('new');
    const row = newSubject('a', kek);
    const both: KeySet = [newer, ...kek];
    const moved = { ...row, ...rewrapped(row, both) };
    expect([row.kek, moved.kek]).toEqual(['k1', 'new']);
    expect(openSubject(moved, [newer]).dek).toEqual(openSubject(row, both).dek);
    expect(() => openSubject(moved, kek)).toThrow(SealError);
    expect(() => rewrapped(row, [newer])).toThrow(SealError);
    expect(rewrapped({ _id: 'gone', erased: true }, both)).toBeNull();
  });

  it('nothing is sealed, nor tagged, for a subject whose key was destroyed', async () => {
    const rows = store();
    await rows.insert({ _id: 'gone', erased: true });
    const sealer = createEventSealer(
      new SubjectKeys(rows, kek, { rememberMs: 0, rememberMax: 0 }),
      new SearchTags(kek),
    );
    const known = { types: ['failed' as const] };
    const gone = await sealer.of('gone');
    expect([gone.event(randomUUID(), personal, known), gone.mail(personal)]).toEqual([{ parts: [], tags: [] }, null]);
    const there = await sealer.of('known');
    expect(there.event(randomUUID(), personal, known).parts).toHaveLength(3);
    expect((await sealer.of('known')).mail(personal)).not.toBeNull();
    expect([...rows.rows.keys()]).toEqual(['gone', 'known']);
  });

  it('are remembered for a while, and not too many of them', async () => {
    const rows = store();
    const keys = new SubjectKeys(rows, kek, { rememberMs: 60_000, rememberMax: 2 });
    const first = (await keys.resolve(['a'])).get('a');
    const before = rows.reads();
    expect((await keys.resolve(['a'])).get('a')).toBe(first);
    expect(rows.reads()).toBe(before);
    await keys.resolve(['b', 'c']);
    expect((await keys.resolve(['a'])).get('a')?.dek).toEqual(first?.dek);
    expect(rows.reads()).toBeGreaterThan(before + 2);
  });
});
