import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { CheckpointSink } from './checkpoint-sink.js';

describe('the file of checkpoints, read back', () => {
  let file: string;
  let sink: CheckpointSink;
  beforeEach(() => {
    file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'sink-')), 'checkpoints.jsonl');
    sink = new CheckpointSink({ AUDIT_CHECKPOINT_FILE: file });
  });
  afterEach(() => fs.rmSync(path.dirname(file), { recursive: true }));
  const record = (note: string, leaves = 256) => ({
    note,
    leaves: Array.from({ length: leaves }, () => 'x'.repeat(43)),
  });

  it('has no last line before the first, then the newest of many', async () => {
    expect(await sink.last()).toBeNull();
    for (let i = 0; i < 30; i++) await sink.write(record(`n${i}`));
    expect(await sink.last()).toEqual(record('n29'));
  });

  it('passes over a line that a crash cut short, and says when no line is one', async () => {
    await sink.write(record('whole'));
    fs.appendFileSync(file, '{"note":"cut sho');
    expect(await sink.last()).toEqual(record('whole'));
    fs.writeFileSync(file, 'rubbish\n');
    await expect(sink.last()).rejects.toThrow('no line');
    fs.writeFileSync(file, '');
    expect(await sink.last()).toBeNull();
  });

  it('with standard output the pinned line is the last one; without a pin there is none', async () => {
    fs.writeFileSync(file, `${JSON.stringify(record('pinned', 1))}\n`);
    const pinned = new CheckpointSink({ AUDIT_CHECKPOINT_FILE: 'stdout', AUDIT_CHECKPOINT_PIN: file });
    expect(await pinned.last()).toEqual(record('pinned', 1));
    const bare = new CheckpointSink({ AUDIT_CHECKPOINT_FILE: 'stdout' });
    expect([bare.readable(), await bare.last(), await bare.eraOrder()]).toEqual([null, null, null]);
  });

  it('an order for an era is read only as it is written', async () => {
    const write = (text: string): void => fs.writeFileSync(`${file}.era`, text);
    expect(await sink.eraOrder()).toBeNull();
    for (const bad of ['x', 'null', '{}', '{"note":1,"reason":"r"}', '{"note":"n","reason":""}']) {
      write(bad);
      expect(await sink.eraOrder()).toBeNull();
    }
    write('{"note":"n","reason":"r"}\n');
    expect(await sink.eraOrder()).toEqual({ note: 'n', reason: 'r' });
    await sink.removeEraOrder();
    expect(await sink.eraOrder()).toBeNull();
  });
});
