import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { type Action, ACTIONS } from '#contracts';

const segmentSchema = z.object({
  person: z.string(),
  segment: z.string(),
  action: z.enum([...ACTIONS, 'neutral', 'still']),
  fps: z.number(),
  frames: z.array(z.object({ file: z.string(), tMs: z.number() })).min(1),
});
export type Segment = z.infer<typeof segmentSchema>;

/** A frame of committed footage. */
export interface Frame {
  tMs: number;
  jpeg: Buffer;
}

const MIRRORED: Partial<Record<Segment['action'], Segment['action']>> = {
  turn_left: 'turn_right',
  turn_right: 'turn_left',
};

/** The committed footage (`test/media`): who shows what where. */
export class Media {
  private readonly segments: Segment[];

  constructor(private readonly root: string) {
    const index: unknown = JSON.parse(readFileSync(path.join(root, 'index.json'), 'utf8'));
    this.segments = z.object({ segments: z.array(segmentSchema) }).parse(index).segments;
  }

  /**
   * Takes of one person that show a gesture. The other side of a turn may stand in, to be mirrored.
   *
   * @throws Error when nobody filmed that.
   */
  takes(person: string, action: Segment['action']): { segment: Segment; mirror: boolean }[] {
    const own = this.segments.filter((s) => s.person === person && s.action === action);
    if (own.length > 0) return own.map((segment) => ({ segment, mirror: false }));
    const other = MIRRORED[action];
    const stand = other ? this.segments.filter((s) => s.person === person && s.action === other) : [];
    if (stand.length === 0) throw new Error(`no footage of ${person} showing ${action}`);
    return stand.map((segment) => ({ segment, mirror: true }));
  }

  /** The gestures a person can answer with the footage there is. */
  gestures(person: string): Action[] {
    return ACTIONS.filter((action) => {
      const sides = [action, MIRRORED[action]];
      return this.segments.some((s) => s.person === person && sides.includes(s.action));
    });
  }

  load(segment: Segment): Promise<Frame[]> {
    return Promise.all(
      segment.frames.map(async ({ file, tMs }) => ({ tMs, jpeg: await readFile(path.join(this.root, file)) })),
    );
  }
}
