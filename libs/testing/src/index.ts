export { type Answer, ApiClient, type Outgoing } from './api-client.js';
export { type Performer, RecordedPerson, StillPhoto } from './camera.js';
export { type Capture, performCapture } from './capture.js';
export { type Frame, Media, type Segment } from './media.js';
export { seeded } from './random.js';
export { TcpProxy } from './tcp-proxy.js';
export { encodeStep } from './wire.js';
export { inLanes } from './lanes.js';
export { peakMemoryBytes } from './peak-memory.js';
