import { CHANNEL_BLOCK, ChannelGroups, type Layout } from './channel-groups.js';
import { type Pass } from './pass.js';

/**
 * Removes channels that cannot reach the output: those that are the same number everywhere in every picture (their
 * filter is zero), and those that every reader multiplies by zero. A constant moves into the biases of its readers,
 * which is exact except where a reader pads with zeros: such a channel stays. What is left is filled up with dead
 * channels to whole blocks.
 */
export const pruneDeadChannels: Pass = {
  name: 'prune-dead-channels',
  apply(model) {
    const groups = new ChannelGroups(model);
    const { free } = groups;
    const whole = new Map([...free.keys()].map((group) => [group, groups.layoutOf(group)]));
    // Until nothing changes: a reader that is gone needs nothing any more.
    for (let changed = true; changed;) {
      changed = false;
      for (const [group, names] of free) {
        const before = groups.layoutOf(group);
        const after = before.filter((channel) => !names.every((name) => groups.isDroppable(name, channel ?? 0)));
        if (after.length === before.length) continue;
        groups.setLayout(group, after);
        changed = true;
      }
    }
    for (const [group, all] of whole) groups.setLayout(group, filled(groups.layoutOf(group), all));
    const { before, after } = groups.rewrite();
    return `${String(before - after)} of ${String(before)} channels removed`;
  },
};

function filled(kept: Layout, all: Layout): Layout {
  const missing = Math.max(1, Math.ceil(kept.length / CHANNEL_BLOCK)) * CHANNEL_BLOCK - kept.length;
  const dead = all.filter((channel) => !kept.includes(channel)).slice(0, missing);
  return all.filter((channel) => kept.includes(channel) || dead.includes(channel));
}
