import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type Action, ACTIONS, type StepVerdict } from '#contracts';
import { type EmbeddingSample, samplesOf } from './analyse.js';
import { judgeStep } from './judge-step.js';
import type { Exposure, FaceSignal, SignalTrack, StepSamples } from './signals.js';
import { normalise } from './vector.js';

const REST: FaceSignal = {
  yaw: 0, pitch: 0, roll: 0, x: 180, y: 120, eyeSpan: 80, faceWidth: 128, inside: 1, closedRight: 0, closedLeft: 0, aspectRight: 0.3,
  aspectLeft: 0.3, happy: 0, mouthWidth: 0.55, cornerLift: -0.01, foreshortening: 0.49, band: 1, lidRight: 0.08,
  lidLeft: 0.08, mouthDetail: 0.09, eyeShade: 0.8, sharpness: 0.6,
  luminance: 130, unchangedMs: 0,
}; // prettier-ignore
const SAMPLES: StepSamples = { lowestCosine: 0.9, doubtfulCosine: 0.9, live: 0.9, embeddings: 6 };
const FPS = 24;

type Movement = (seconds: number) => Partial<FaceSignal>;

/** Nobody keeps as still as a picture. */
const swaying: Movement = (t) => ({
  x: 180 + Math.sin(2 * t),
  y: 120 + Math.cos(3 * t),
  eyeSpan: 80 + 0.3 * Math.sin(1.7 * t),
  yaw: 0.8 * Math.sin(2.5 * t),
  roll: 0.4 * Math.sin(3.1 * t),
  mouthWidth: 0.55 + 0.002 * Math.sin(2 * t),
  foreshortening: 0.49 + 0.001 * Math.sin(4 * t),
});

/** A track of 2.5 s: a living rest, changed by some movements. */
function track(...movements: Movement[]): SignalTrack {
  const frames = Array.from({ length: 60 }, (_, i) => {
    const tMs = (i * 1000) / FPS;
    return {
      tMs,
      face: Object.assign({ ...REST, ...swaying(tMs / 1000) }, ...movements.map((m) => m(tMs / 1000))) as FaceSignal,
    };
  });
  return { width: 360, height: 288, unreadable: 0, frames };
}

const between = (t: number, from: number, to: number): boolean => t >= from && t < to;
/** Rises from 0 to 1 within 0.3 s, stays, and falls again. */
const bump = (t: number, from: number, to: number): number =>
  Math.max(0, Math.min(1, (t - from) / 0.3, (to - t) / 0.3));
const CLOSED = { closedRight: 1, closedLeft: 1, aspectRight: 0.18, aspectLeft: 0.18 };
/** Closes within two frames, opens within three, as lids do. */
const blink =
  (at: number, seconds = 0.15): Movement =>
  (t) => {
    const shut = Math.max(0, Math.min(1, (t - at) / 0.08, (at + seconds + 0.13 - t) / 0.13));
    const aspect = 0.3 - 0.12 * shut;
    const closed = shut > 0.6 ? 1 : 0;
    return shut > 0 ? { closedRight: closed, closedLeft: closed, aspectRight: aspect, aspectLeft: aspect } : {};
  };
const turn =
  (degrees: number, from = 0.8, to = 1.8): Movement =>
  (t) => ({ yaw: degrees * bump(t, from, to) });
const SMILE = { happy: 1, mouthWidth: 0.65, cornerLift: 0.02 };
/** Grows within 0.3 s. */
const smile = (from = 0.8, to = 2): Movement => (t) => {
  const grown = bump(t, from, to + 0.3);
  return grown > 0 ? { happy: grown > 0.3 ? 1 : 0, mouthWidth: 0.55 + 0.1 * grown, cornerLift: -0.01 + 0.03 * grown } : {};
}; // prettier-ignore
const GESTURES: Record<Action, Movement[]> = {
  blink: [blink(0.6), blink(1.4)],
  turn_left: [turn(22)],
  turn_right: [turn(-22)],
  smile: [smile()],
};

const verdicts = (t: SignalTrack, samples = SAMPLES): Record<Action, string> =>
  Object.fromEntries(
    ACTIONS.map((a) => {
      const v: StepVerdict = judgeStep(t, samples, a);
      return [a, v.kind === 'quality' ? v.code : v.kind];
    }),
  ) as Record<Action, string>;
const all = (verdict: string): Record<Action, string> =>
  Object.fromEntries(ACTIONS.map((a) => [a, verdict])) as Record<Action, string>;

describe('the asked gesture', () => {
  it.each(ACTIONS)('%s is done when it is done, and answers nothing else that is asked', (action) => {
    const found = verdicts(track(...GESTURES[action]));
    expect(found[action]).toBe('done');
    for (const other of ACTIONS) if (other !== action) expect(found[other]).not.toBe('done');
  });

  it.each(ACTIONS)('%s is done with natural blinks in it', (action) => {
    expect(verdicts(track(...GESTURES[action], blink(0.3), blink(2.1)))[action]).toBe('done');
  });

  it('a turn on which the head nods is done, by one whose head bobs already it is not', () => {
    const nodding: Movement = (t) => ({ pitch: -11 * bump(t, 0.8, 1.8) });
    expect(verdicts(track(turn(16), nodding)).turn_left).toBe('done');
    const bobbing: Movement = (t) => (t < 0.8 ? { pitch: 10 * Math.sin(4 * Math.PI * t) } : {});
    expect(verdicts(track(turn(16), bobbing)).turn_left).toBe('no_action');
  });

  it('of a head that rests beside the camera, a smaller turn to that side is done; a blink it is not', () => {
    const aside: Movement = (t) => ({ yaw: 12.5 + 12 * bump(t, 0.8, 1.8) });
    expect(verdicts(track(aside)).turn_left).toBe('done');
    expect(verdicts(track(aside, ...GESTURES.blink)).blink).toBe('wrong_action');
    const less: Movement = (t) => ({ yaw: 12.5 + 8 * bump(t, 0.8, 1.8) });
    expect(verdicts(track(less)).turn_left).toBe('no_action');
    expect(verdicts(track(less, ...GESTURES.blink)).blink).toBe('done');
  });

  it('blink is done though the eyes stay lowered around the second one', () => {
    const lowered = 0.245;
    const eyes: Movement = (t) => {
      if (t < 1.2) return blink(0.5)(t);
      const shut = Math.max(0, Math.min(1, (t - 1.6) / 0.08, (1.9 - t) / 0.13));
      const aspect = lowered - (lowered - 0.18) * shut;
      const closed = shut > 0.6 ? 1 : t > 1.6 ? 0.6 : 0.1;
      return { closedRight: closed, closedLeft: closed, aspectRight: aspect, aspectLeft: aspect };
    };
    expect(verdicts(track(eyes)).blink).toBe('done');
  });

  it('smile is not done where it is there from one frame to the next, whether or not a frame is missing between', () => {
    const sudden: Movement = (t) => (between(t, 1, 2) ? SMILE : {});
    const whole = track(sudden);
    expect(verdicts(whole).smile).not.toBe('done');
    const frames = whole.frames.filter(({ tMs }) => tMs < 950 || tMs > 1_010);
    expect(verdicts({ ...whole, frames }).smile).not.toBe('done');
  });

  it('gives the same verdict for the same track, always', () => {
    const t = track(...GESTURES.turn_left);
    const before = JSON.stringify(t);
    expect(judgeStep(t, SAMPLES, 'turn_left')).toEqual(judgeStep(JSON.parse(before) as SignalTrack, SAMPLES, 'turn_left')); // prettier-ignore
    expect(JSON.stringify(t)).toBe(before);
  });
});

describe('a photo', () => {
  it('repeated as frames fails every gesture, whoever is on it', () => {
    for (const still of [{}, { happy: 1 }, CLOSED, { yaw: 18 }, { yaw: -18, happy: 1 }])
      expect(verdicts(track(() => still))).toEqual(all('no_action'));
  });

  it('that trembles and is tilted fails every gesture', () => {
    const shaking: Movement = (t) => ({ x: 180 + 3 * Math.sin(20 * t), yaw: 4 * Math.sin(3 * t), roll: 10 * t });
    expect(verdicts(track(shaking))).toEqual(all('no_action'));
  });

  it('that is turned shrinks as no head does', () => {
    const card: Movement = (t) => {
      const turned = bump(t, 0.8, 2);
      return { yaw: 20 * turned, foreshortening: 0.49 * Math.cos((turned * 45 * Math.PI) / 180) };
    };
    expect(verdicts(track(card)).turn_left).not.toBe('done');
  });
});

describe('two photos cut to and fro', () => {
  it('open and closed eyes are no blinks', () => {
    const cut = (at: number): Movement => (t) => (between(t, at, at + 0.15) ? CLOSED : {}); // prettier-ignore
    expect(verdicts(track(cut(0.6), cut(1.4))).blink).toBe('no_action');
  });

  it('rest and smile are no smile', () => {
    expect(verdicts(track((t) => (t > 1 ? SMILE : {}))).smile).toBe('no_action');
    expect(verdicts(track((t) => (between(t, 0.8, 1.8) ? SMILE : {}))).smile).toBe('no_action');
  });
});

describe('a recording that stands still at its end', () => {
  const noise = (k: number): number => ((Math.imul(k, 2654435761) >>> 8) % 1000) / 1000 - 0.5;
  const noisy =
    (from: number): Movement =>
    (t) => {
      const k = Math.round(t * 24) * 7;
      return t < from ? {} : { x: 180 + 0.4 * noise(k), y: 120 + 0.4 * noise(k + 1), yaw: 0.3 * noise(k + 2), roll: 0.2 * noise(k + 3), eyeSpan: 80 + 0.3 * noise(k + 4), mouthWidth: 0.55 + 0.004 * noise(k + 5), foreshortening: 0.49 + 0.002 * noise(k + 6) }; // prettier-ignore
    };

  it('is discontinuous, however much its camera trembles with noise; a living rest is not', () => {
    expect(verdicts(track(blink(0.2), blink(0.6))).blink).toBe('done');
    expect(verdicts(track(noisy(0.9), blink(0.2), blink(0.6))).blink).toBe('discontinuous');
  });
});

describe('14.5: a recording that stands still while the head is turned far', () => {
  /** The mesh drifts on a picture that it sees badly: the landmarks look alive, the pixels do not. */
  const drifting =
    (from: number): Movement =>
    (t) => t < from ? {} : { yaw: 38 + 3 * Math.sin(2 * t), x: 190 + 2 * Math.sin(3 * t), unchangedMs: 1000 * (t - from) }; // prettier-ignore
  const turning: Movement = (t) => ({ yaw: Math.min(38, Math.max(0, 60 * (t - 0.4))) });

  it('is discontinuous; a head that is held there by somebody who lives is not', () => {
    expect(verdicts(track(turning)).turn_left).toBe('done');
    expect(verdicts(track(turning, (t) => ({ ...drifting(1.1)(t), unchangedMs: 0 }))).turn_left).toBe('done');
    expect(verdicts(track(turning, drifting(1.1))).turn_left).toBe('discontinuous');
  });
});

describe('anything but the asked gesture', () => {
  it('a loop that performs everything is a wrong action', () => {
    const everything = track(
      blink(0.3),
      blink(0.6),
      (t) => ({ yaw: 22 * bump(t, 0.7, 1.4) - 22 * bump(t, 1.4, 2.1) }),
      smile(1, 2.4),
    );
    expect(verdicts(everything)).toEqual(all('wrong_action'));
  });

  it('the other turn is wrong, coming back from a turn is not', () => {
    expect(verdicts(track(turn(-22))).turn_left).toBe('wrong_action');
    // Still turned from the step before: back to the front, and then once more to the asked side.
    const leftOver: Movement = (t) => ({ yaw: t < 0.3 ? 18 : t < 0.6 ? (0.6 - t) * 60 : 0 });
    expect(verdicts(track(leftOver))).toEqual(all('no_action'));
    const again: Movement = (t) => ({ yaw: t < 1.2 ? leftOver(t).yaw! : 22 * bump(t, 1.2, 2.3) });
    expect(verdicts(track(again)).turn_left).toBe('done');
  });

  it('whoever sits beside his camera may turn across it and back', () => {
    const beside: Movement = (t) => ({ yaw: 14 - 30 * bump(t, 0.8, 1.9) });
    expect(verdicts(track(beside)).turn_right).toBe('done');
  });

  it('a smile that was there all along is none, one that goes and comes is', () => {
    const always: Movement = () => ({ happy: 1, mouthWidth: 0.65, cornerLift: 0.02 });
    expect(verdicts(track(always)).smile).toBe('no_action');
    expect(verdicts(track((t) => (t < 0.4 ? always(t) : smile(1.2, 2.4)(t)))).smile).toBe('done');
  });

  it('a wide mouth without the expression, or the expression without the mouth, is no smile', () => {
    expect(verdicts(track((t) => (t > 1 ? { mouthWidth: 0.7, cornerLift: 0.05 } : {}))).smile).toBe('no_action');
    expect(verdicts(track((t) => (t > 1 ? { happy: 1 } : {}))).smile).toBe('no_action');
    expect(verdicts(track(smile(1, 1.1))).smile).toBe('no_action');
  });
});

describe('blinks', () => {
  it('one is not two, and a long closure is none', () => {
    expect(verdicts(track(blink(0.6))).blink).toBe('no_action');
    expect(verdicts(track(blink(0.3), blink(0.9, 1.3))).blink).toBe('no_action');
    expect(verdicts(track(blink(0.5), (t) => (t > 1.5 ? CLOSED : {}))).blink).toBe('no_action');
  });

  it('one eye does not blink', () => {
    const wink = (at: number): Movement => (t) =>
      between(t, at, at + 0.15) ? { closedRight: 1, aspectRight: 0.18 } : {}; // prettier-ignore
    expect(verdicts(track(wink(0.6), wink(1.4))).blink).toBe('no_action');
  });

  it('a strip before the eyes draws no lid', () => {
    const strip = (at: number): Movement => (t) =>
      blink(at)(t).closedRight ? { ...blink(at)(t), lidRight: 0.02, lidLeft: 0.03 } : blink(at)(t); // prettier-ignore
    expect(verdicts(track(strip(0.6), strip(1.4))).blink).toBe('no_action');
    // Motion blurs lashes a little.
    const blurred: Movement = (t) => (between(t, 0.6, 0.9) ? { lidRight: 0.06, lidLeft: 0.06 } : {});
    expect(verdicts(track(blink(0.6), blink(1.4), blurred)).blink).toBe('done');
  });

  it('an occluder before the eyes changes nose and cheeks too', () => {
    const card = (at: number): Movement => (t) =>
      between(t, at, at + 0.15) ? { ...CLOSED, band: 0.5 } : {}; // prettier-ignore
    expect(verdicts(track(card(0.6), card(1.4))).blink).toBe('no_action');
  });

  it('nodding with the eyes down is no blink', () => {
    const nod = (at: number): Movement => (t) =>
      between(t, at, at + 0.3) ? { ...CLOSED, pitch: -20 } : {}; // prettier-ignore
    expect(verdicts(track(nod(0.5), nod(1.4))).blink).toBe('no_action');
  });

  it('eyes that the net reads as closed at rest are judged by their lids', () => {
    const glare: Movement = () => ({ closedRight: 0.95, closedLeft: 0.95 });
    expect(verdicts(track(glare)).blink).toBe('no_action');
    expect(verdicts(track(glare, blink(0.6), blink(1.4))).blink).toBe('done');
  });
});

describe('what cannot be judged is quality, never a verdict on the person', () => {
  const good = (): SignalTrack => track(...GESTURES.smile);
  const only = (code: string, t: SignalTrack, samples = SAMPLES): void =>
    expect(verdicts(t, samples)).toEqual(all(code));

  it('no frames, or too many that do not decode', () => {
    only('unreadable', { ...good(), frames: [] });
    only('unreadable', { ...good(), unreadable: 40 });
    expect(verdicts({ ...good(), unreadable: 2 }).smile).toBe('done');
  });

  it('no face, or none most of the time', () => {
    const t = good();
    only('no_face', { ...t, frames: t.frames.map((f) => ({ ...f, face: null })) });
    only('no_face', { ...t, frames: t.frames.map((f, i) => (i % 2 ? { ...f, face: null } : f)) });
  });

  it('the light, where that is why there is no face', () => {
    const t = good();
    const lit = (exposure: Exposure): SignalTrack => ({
      ...t,
      frames: t.frames.map((f) => ({ ...f, face: null, exposure })),
    });
    only('too_dark', lit({ dark: 0.97, clipped: 0, middle: 0 }));
    only('too_bright', lit({ dark: 0, clipped: 0.6, middle: 0.1 }));
    // A bright window beside well lit things, a shadow beside them.
    only('no_face', lit({ dark: 0.1, clipped: 0.4, middle: 0.45 }));
    only('no_face', lit({ dark: 0.5, clipped: 0, middle: 0.4 }));
  });

  it('a second face that is nearly as large', () => {
    const t = good();
    const seen = (second: number): SignalTrack => ({
      ...t,
      frames: t.frames.map((f, i) => (i % 15 ? f : { ...f, second })),
    });
    only('multiple_faces', seen(0.8));
    expect(verdicts(seen(0.1)).smile).toBe('done');
  });

  it('too few frames, or too far apart', () => {
    const t = good();
    only('too_few_frames', { ...t, frames: t.frames.slice(0, 7) });
    only('too_few_frames', { ...t, frames: t.frames.filter((_, i) => i % 4 === 0) });
  });

  it.each([
    ['too_far', { eyeSpan: 30 }],
    ['too_close', { eyeSpan: 200 }],
    ['off_centre', { inside: 0.8 }],
    ['too_dark', { luminance: 15 }],
    ['too_bright', { luminance: 250 }],
    ['blurred', { sharpness: 0.1 }],
    ['eyes_hidden', { ...CLOSED, aspectRight: 0.3, aspectLeft: 0.3, eyeShade: 0.3 }],
    ['eyes_hidden', { lidRight: 0.01, lidLeft: 0.015 }],
    ['face_covered', { mouthDetail: 0.012 }],
  ])('%s', (code, change) => {
    only(
      code,
      track(...GESTURES.smile, () => change),
    );
  });

  it('a face that is too small for the anti-spoof', () => {
    expect(verdicts(track(...GESTURES.smile, () => ({ eyeSpan: 48, faceWidth: 76 })))).toEqual(all('too_far'));
  });

  it('a face that never keeps still', () => {
    only(
      'moved_too_much',
      track((t) => ({ x: 180 + 200 * Math.abs(((t * 2) % 2) - 1) })),
    );
  });
});

describe('14.1: a picture held upright', () => {
  const upright = (change: Partial<FaceSignal>): SignalTrack => ({
    ...track(...GESTURES.smile, () => ({ x: 81, faceWidth: 1.55 * (change.eyeSpan ?? 80), ...change })),
    width: 162,
    height: 288,
  });

  it.each([0.44, 0.455, 0.5, 0.55])('is done though the face fills its width: eye corners %s of it apart', (share) => {
    expect(verdicts(upright({ eyeSpan: share * 162 })).smile).toBe('done');
  });

  it('is too close where the face is larger than the picture, whichever side of it', () => {
    expect(verdicts(upright({ eyeSpan: 0.7 * 162, inside: 0.8 }))).toEqual(all('too_close'));
    const lying = { ...track(...GESTURES.smile, () => ({ eyeSpan: 72, faceWidth: 112, inside: 0.8 })), width: 240, height: 135 }; // prettier-ignore
    expect(verdicts(lying)).toEqual(all('too_close'));
    expect(verdicts(upright({ eyeSpan: 0.4 * 162, inside: 0.8 }))).toEqual(all('off_centre'));
  });
});

describe('14.2: a turn that goes on to where the face is lost', () => {
  const lostFrom = (fromMs: number, toMs: number, t = track(turn(22, 0.8, 2.5))): SignalTrack => ({
    ...t,
    frames: t.frames.map((f) => (f.tMs >= fromMs && f.tMs < toMs ? { ...f, face: null } : f)),
  });

  it.each([[1150, 2600], [1150, 2300], [1300, 2600]])('is done though no face is found from %i to %i ms', (from, to) => {
    expect(verdicts(lostFrom(from, to)).turn_left).toBe('done');
  }); // prettier-ignore

  it('is done though the face is found again elsewhere, of another size', () => {
    const back: Movement = (t) => (t > 2.1 ? { x: 300, eyeSpan: 44, yaw: 10 } : {});
    expect(verdicts(lostFrom(1150, 2110, track(turn(22, 0.8, 2.5), back))).turn_left).toBe('done');
    // Before the turn was done that is a cut.
    const before: Movement = (t) => (t > 0.4 ? { x: 300 } : {});
    expect(verdicts(track(turn(22), before)).turn_left).toBe('discontinuous');
  });

  it('is no_face where it is lost before it was done, and no gesture where there was none', () => {
    expect(verdicts(lostFrom(850, 2600)).turn_left).toBe('no_face');
    expect(verdicts(lostFrom(1150, 2600, track())).turn_left).toBe('no_face');
  });

  it('whatever else is done before the face is lost, or after it came back, is still seen', () => {
    const smiling: Movement = (t) => smile(1.4, 2.4)(t);
    expect(verdicts(track(turn(22, 0.6, 1.6), smiling)).turn_left).toBe('wrong_action');
    expect(verdicts({ ...track(turn(22, 0.6, 1.6), smiling) }).smile).toBe('wrong_action');
  });

  it('counts the frames that were sent: few of them are too few, lost ones are not', () => {
    const t = track(...GESTURES.smile);
    const lost = { ...t, frames: t.frames.map((f, i) => (i % 5 === 2 ? { ...f, face: null } : f)).filter((_, i) => i % 3 > 0) }; // prettier-ignore
    expect(verdicts(lost).smile).toBe('done');
    expect(verdicts({ ...t, frames: t.frames.filter((_, i) => i % 2 > 0) }).smile).toBe('too_few_frames');
  });
});

describe('14.3: a shaky person', () => {
  const sample = (direction: number[], fitness: number, pitch = 0): EmbeddingSample => ({
    tMs: 0, yaw: 0, pitch, sharpness: 0.6, fitness, embedding: normalise(Float32Array.from(direction)),
  }); // prettier-ignore
  const samplesFrom = (...embeddings: EmbeddingSample[]): StepSamples =>
    samplesOf({ track: track(), embeddings, unlike: [], antispoof: [] });
  const fit = [sample([1, 0], 0.9), sample([1, 0.2], 0.8), sample([1, -0.2], 0.7)];
  const shown = (samples: StepSamples): string => verdicts(track(...GESTURES.smile), samples).smile;

  it('is one person: smeared, nodding and far turned frames are not compared for suspicion', () => {
    expect(shown(samplesFrom(...fit, sample([0.6, 1], 0.3)))).toBe('done');
    expect(shown(samplesFrom(...fit, sample([0.6, 1], 0.9, 20)))).toBe('done');
    expect(shown(samplesFrom(...fit, sample([0.6, 1], 0.9, -20)))).toBe('done');
  });

  it('is told to move less where such a frame could be anybody’s; a fit frame of somebody else is not one person', () => {
    expect(shown(samplesFrom(...fit, sample([0, 1], 0.3)))).toBe('moved_too_much');
    expect(shown(samplesFrom(...fit, sample([0, 1], 0.6)))).toBe('not_one_person');
  });
});

describe('14.4: a dim room', () => {
  const lit = (luminance: number, live: number | null): string =>
    verdicts(track(...GESTURES.smile, () => ({ luminance })), { ...SAMPLES, live }).smile; // prettier-ignore

  it('is too_dark where the anti-spoof would deny what it cannot see, in good light that stays its denial', () => {
    for (const luminance of [40, 60, 79]) expect(lit(luminance, 0.1)).toBe('too_dark');
    expect(lit(130, 0.1)).toBe('done');
    for (const live of [0.2, 0.9, null]) expect(lit(50, live)).toBe('done');
  });

  it('is measured as the attempt is: the median of the lower of both crops', () => {
    const antispoof = [[0.9, 0.1], [0.05, 0.9], [0.9, 0.9]].map(([near, far], i) => ({ tMs: i, near: near!, far: far! })); // prettier-ignore
    expect(samplesOf({ track: track(), embeddings: [], unlike: [], antispoof }).live).toBe(0.1);
  });
});

describe('what no single person does', () => {
  it('two people in one step', () => {
    expect(verdicts(track(...GESTURES.smile), { ...SAMPLES, lowestCosine: 0.2 })).toEqual(all('not_one_person'));
  });

  it('two faces in turn from frame to frame, however alike their embeddings', () => {
    const inTurn: Movement = (t) => {
      const rest = swaying(t);
      return Math.round(t * FPS) % 2 ? { ...rest, x: rest.x! + 6, eyeSpan: rest.eyeSpan! + 4, yaw: rest.yaw! + 5, roll: rest.roll! - 3 } : rest; // prettier-ignore
    };
    expect(verdicts(track(inTurn))).toEqual(all('not_one_person'));
    for (const action of ACTIONS) expect(verdicts(track(inTurn, ...GESTURES[action]))[action]).not.toBe('done');
  });

  it('a face that is somewhere else, or of another size, on the next frame', () => {
    expect(verdicts(track((t) => ({ x: t < 1 ? 100 : 260 })))).toEqual(all('discontinuous'));
    expect(verdicts(track((t) => ({ eyeSpan: t < 1 ? 60 : 100 })))).toEqual(all('discontinuous'));
  });
});

describe('a movement that is cut in', () => {
  /** Without the frames from `from` to `to`, seconds. */
  const without = (t: SignalTrack, from: number, to: number): SignalTrack => ({
    ...t,
    frames: t.frames.filter((f) => f.tMs <= from * 1000 || f.tMs >= to * 1000),
  });

  it.each([0, 0.05, 0.1, 0.2, 0.4, 0.7])('is none, with %s s of lost frames to hide the cut', (gap) => {
    const cut = (of: Partial<FaceSignal>): Movement => (t) => (between(t, 1, 2.2) ? of : {}); // prettier-ignore
    for (const [action, height] of [
      ['smile', SMILE],
      ['turn_left', { yaw: 18 }],
      ['turn_right', { yaw: -18 }],
    ] as const)
      expect([action, verdicts(without(track(cut(height)), 1 - gap, 1))[action]]).not.toEqual([action, 'done']);
  });

  it('is one where only a frame or two of the way were lost', () => {
    for (const [action, at] of [
      ['smile', 0.9],
      ['turn_left', 0.9],
      ['turn_right', 0.9],
    ] as const)
      for (const lost of [0.05, 0.09])
        expect([action, verdicts(without(track(...GESTURES[action]), at, at + lost))[action]]).toEqual([
          action,
          'done',
        ]);
  });
});

describe('recorded tracks of the committed footage', () => {
  interface Recorded {
    name: string;
    action: Action | 'neutral';
    samples: StepSamples;
    track: SignalTrack;
  }
  const recorded = readFileSync(path.join(__dirname, 'fixtures/tracks.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Recorded);

  it.each(recorded.map((r) => [r.name, r] as const))('%s is its own action and no other', (_, r) => {
    for (const [asked, verdict] of Object.entries(verdicts(r.track, r.samples))) {
      if (asked === r.action) expect([asked, verdict]).toEqual([asked, 'done']);
      else expect([asked, verdict]).not.toEqual([asked, 'done']);
    }
  });

  it.each(recorded.map((r) => [r.name, r] as const))('%s frozen at any tenth of it is nothing', (_, r) => {
    for (let part = 0; part < 10; part++) {
      const still = r.track.frames[Math.floor((part / 10) * r.track.frames.length)]!;
      const frozen = r.track.frames.map((f) => ({ ...f, face: still.face && { ...still.face, band: 1 } }));
      expect(verdicts({ ...r.track, frames: frozen }, r.samples)).toEqual(all('no_action'));
    }
  });
});
