import type { OutboxEvent } from '#contracts';
import { GatewayWorld, GOOD } from './gateway-world.js';

/** What the gateway leaves in MongoDB says nothing of where somebody was, or how alike two faces are. */
describe('events and mails are sealed before they enter an outbox', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start();
  }, 60_000);
  afterAll(() => world.stop());

  const COLLECTIONS = ['face_guards', 'system_outboxes', 'mails', 'subjects'];
  const SIMILARITY = 0.123456789;

  it('holds no address, device or similarity in clear from begin to lock, and audit can open them', async () => {
    const { client, userId, email } = await world.enrolled();
    const device = 'Pixel 9';
    const dump = async (): Promise<string> =>
      JSON.stringify(await Promise.all(COLLECTIONS.map((name) => world.db.collection(name).find({}).toArray())));
    const isClean = async (): Promise<void> => {
      const text = await dump();
      for (const canary of [device, '127.0.0.1', String(SIMILARITY)]) expect(text).not.toContain(canary);
    };
    for (let i = 0; i < 3; i++) {
      const findings = { ...GOOD, judgement: 'mismatch' as const, similarity: SIMILARITY };
      const begun = await world.begin(client, 'attempts', findings);
      expect(begun.status).toBe(201);
      await isClean();
      for (let step = 1; step <= 3; step++) await world.sendStep(client, String(begun.body.attemptId), step);
      await world.outcome(client, String(begun.body.attemptId));
    }
    await world.client(device).login(email, 'wrong password of some length');
    await isClean();

    const guard = (await world.guard(userId)) as unknown as { outbox: { kind: string; event: OutboxEvent }[] };
    const events = guard.outbox.flatMap((e) => (e.kind === 'event' ? [e.event] : []));
    const failed = events.filter((e) => e.type === 'failed');
    expect(failed).toHaveLength(3);
    const from = { deviceModel: device, ipAddress: '127.0.0.1' };
    for (const event of failed) expect(await world.personal(event)).toEqual({ ...from, similarity: SIMILARITY });
    const locked = events.find((e) => e.type === 'locked') as OutboxEvent;
    expect(await world.personal(locked)).toEqual(from);
    expect(locked.sealed?.tags).toEqual(failed[0]?.sealed?.tags);
  });
});
