import { CHANNEL_BLOCK, ChannelGroups } from './channel-groups.js';
import { type Pass } from './pass.js';

/**
 * Adds channels of zeros where their number is no multiple of the runtime's block. A depthwise convolution of 103
 * channels falls back to plain loops and takes the layers around it out of the vectorised layout; one of 112 does not.
 */
export const fillChannelBlocks: Pass = {
  name: 'fill-channel-blocks',
  apply(model) {
    const groups = new ChannelGroups(model);
    for (const group of groups.free.keys()) {
      const layout = groups.layoutOf(group);
      const missing = (CHANNEL_BLOCK - (layout.length % CHANNEL_BLOCK)) % CHANNEL_BLOCK;
      groups.setLayout(group, [...layout, ...Array.from({ length: missing }, () => null)]);
    }
    const { before, after } = groups.rewrite();
    return `${String(after - before)} channels of zeros added to ${String(before)}`;
  },
};
