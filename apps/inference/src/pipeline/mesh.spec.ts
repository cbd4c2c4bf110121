import { contextBox, fivePoints } from './crops.js';
import { eyeAspect, type Landmarks, poseOf, regionOfLandmarks, rollOf, toPicture } from './mesh.js';
import { squareCrop } from './picture.js';

/** A head as an ellipsoid of points in front of the camera, its named pairs mirror images of each other. */
function head(degrees: { yaw?: number; pitch?: number; roll?: number } = {}): Landmarks {
  const at: Record<number, [number, number, number]> = {
    33: [-45, -30, -30], 263: [45, -30, -30], 133: [-18, -30, -38], 362: [18, -30, -38], 127: [-70, -20, 30],
    356: [70, -20, 30], 234: [-72, 0, 30], 454: [72, 0, 30], 93: [-70, 20, 30], 323: [70, 20, 30], 116: [-50, 5, -25],
    345: [50, 5, -25], 10: [0, -95, -20], 152: [0, 95, -20], 1: [0, 15, -70],
  }; // prettier-ignore
  const out = new Float32Array(468 * 3);
  const [yaw, pitch, roll] = [degrees.yaw ?? 0, degrees.pitch ?? 0, degrees.roll ?? 0].map((d) => (d * Math.PI) / 180);
  for (let i = 0; i < 468; i++) {
    const [x, y, z] = at[i] ?? [0, 0, -40];
    const [y1, z1] = [y * Math.cos(pitch!) - z * Math.sin(pitch!), y * Math.sin(pitch!) + z * Math.cos(pitch!)];
    // Own left is the picture's right: with a positive yaw the nose (z < 0) goes to x > 0.
    const [x2, z2] = [x * Math.cos(yaw!) - z1 * Math.sin(yaw!), x * Math.sin(yaw!) + z1 * Math.cos(yaw!)];
    out[3 * i] = 300 + x2 * Math.cos(roll!) - y1 * Math.sin(roll!);
    out[3 * i + 1] = 200 + x2 * Math.sin(roll!) + y1 * Math.cos(roll!);
    out[3 * i + 2] = z2;
  }
  return out;
}

describe('pose', () => {
  it.each([0, 10, 25, -25, 40])('reads a yaw of %i degrees, + being the nose to the picture’s right', (yaw) => {
    expect(poseOf(head({ yaw })).yaw).toBeCloseTo(yaw, 3);
    const l = head({ yaw: 25 });
    expect(l[3]).toBeGreaterThan(300);
  });

  it('keeps yaw and roll apart', () => {
    for (const roll of [-20, 15]) {
      const pose = poseOf(head({ yaw: 20, roll }));
      expect(pose.yaw).toBeCloseTo(20, 1);
      expect(Math.sign(pose.roll)).toBe(Math.sign(roll));
    }
    expect(poseOf(head({ roll: 12 })).roll).toBeCloseTo(12, 3);
  });

  it('reads a pitch with its sign', () => {
    expect(poseOf(head({ pitch: 15 })).pitch).toBeCloseTo(-poseOf(head({ pitch: -15 })).pitch, 3);
    expect(Math.abs(poseOf(head({ pitch: 15 })).pitch)).toBeCloseTo(15, 1);
  });
});

describe('tracking', () => {
  it('cuts the next crop around the face, level with its eyes', () => {
    const l = head({ roll: 20 });
    const r = regionOfLandmarks(l);
    expect((r.angle * 180) / Math.PI).toBeCloseTo(20, 3);
    expect(Math.hypot(r.cx - 300, r.cy - 200)).toBeLessThan(5);
    expect(r.size).toBeCloseTo(1.5 * 190, 0);
  });

  it('carries crop pixels back into the picture, depth at the same scale', () => {
    const raw = new Float32Array(468 * 3);
    raw.set([96, 96, 10]);
    const l = toPicture(raw, squareCrop(50, 60, 384, 0.3, 192));
    expect([l[0], l[1], l[2]]).toEqual([expect.closeTo(50, 3), expect.closeTo(60, 3), expect.closeTo(20, 3)]);
  });
});

describe('crops', () => {
  it('the context box stays inside the picture and keeps its shape', () => {
    const picture = { width: 360, height: 288 };
    for (const box of [
      { x: 100, y: 80, width: 110, height: 120 },
      { x: 0, y: 200, width: 60, height: 70 },
      { x: 330, y: -10, width: 60, height: 60 },
    ])
      for (const scale of [2.7, 4]) {
        const b = contextBox(box, scale, picture);
        expect(b.x).toBeGreaterThanOrEqual(0);
        expect(b.y).toBeGreaterThanOrEqual(0);
        expect(b.x + b.width).toBeLessThanOrEqual(picture.width - 1 + 1e-9);
        expect(b.y + b.height).toBeLessThanOrEqual(picture.height - 1 + 1e-9);
        expect(b.width / b.height).toBeCloseTo(box.width / box.height, 6);
      }
  });

  it('gives the five points from the person’s right to his left', () => {
    const [right, left, nose] = fivePoints(head());
    expect(right![0]).toBeLessThan(left![0]);
    expect(nose![1]).toBeGreaterThan(right![1]);
  });

  it('an eye without width is not divided by', () => {
    expect(Number.isFinite(eyeAspect(new Float32Array(468 * 3), 'left'))).toBe(true);
    expect(Number.isFinite(rollOf(new Float32Array(468 * 3)))).toBe(true);
  });
});
