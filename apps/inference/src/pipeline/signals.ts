/** What was measured on the tracked face of one frame. Numbers only: neither a picture nor an embedding. */
export interface FaceSignal {
  /** Degrees, see `Pose`. */
  yaw: number;
  pitch: number;
  roll: number;
  /** Middle between the outer eye corners and the distance between them, picture pixels. */
  x: number;
  y: number;
  eyeSpan: number;
  /** Width of the face's box as the detector draws it, picture pixels. */
  faceWidth: number;
  /** Share of the landmarks that lie inside the picture, 0..1. */
  inside: number;
  /** Probability that the eye is closed, and its height ÷ width. */
  closedRight: number;
  closedLeft: number;
  aspectRight: number;
  aspectLeft: number;
  happy: number;
  mouthWidth: number;
  cornerLift: number;
  foreshortening: number;
  /** Likeness of cheeks, brows and bridge to the previous frame's, at most 1; null when there is no previous face. */
  band: number | null;
  /** Mean change of grey from row to row in the region of an eye ÷ the cheeks' grey: lashes, lids, lips are lines. */
  lidRight: number;
  lidLeft: number;
  /** The same for mouth and chin. */
  mouthDetail: number;
  /** Grey of the brighter eye region ÷ the cheeks'. */
  eyeShade: number;
  sharpness: number;
  luminance: number;
  /** For how long the pixels at one place of the picture have differed by no more than noise, ms. */
  unchangedMs: number;
}

/** Shares of a picture's area, 0..1. */
export interface Exposure {
  dark: number;
  /** So bright that nothing is drawn there any more. */
  clipped: number;
  /** Neither of the two and not near them. */
  middle: number;
}

export interface FrameSignal {
  tMs: number;
  /** Null: no face in this frame. */
  face: FaceSignal | null;
  /** Where there is no face: how the picture is exposed, which may be why. */
  exposure?: Exposure;
  /** Where the detector ran: area of the second face ÷ area of the tracked one, 0 if there is no second. */
  second?: number;
}

/** The whole step as the judge sees it. */
export interface SignalTrack {
  /** Size of the decoded pictures. */
  width: number;
  height: number;
  /** Frames that could not be decoded. */
  unreadable: number;
  frames: FrameSignal[];
}

/** What the samples of a step said, beside the track. */
export interface StepSamples {
  /** Lowest cosine between any two fit embeddings of the step, those of unlike frames included; null with fewer than two. */
  lowestCosine: number | null;
  /** The same of all embeddings: smeared, nodded and far turned ones too. */
  doubtfulCosine: number | null;
  /** Median P(live) of the step, the lower of both crops; null without a sample. */
  live: number | null;
  embeddings: number;
}
