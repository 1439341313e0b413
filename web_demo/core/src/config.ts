/** Options: frozen, checked when made, the unit in the name. Defaults are those of the Python runtime. */

import { ConfigError } from "./errors.js";

export type QuarterTurn = 0 | 90 | 180 | 270;

const QUARTER_TURNS: readonly QuarterTurn[] = [0, 90, 180, 270];

/** Options of the detector that is built from the project's own network. */
export interface DetectorConfig {
  /** Boxes below this confidence are dropped; 0..1. */
  readonly scoreThreshold: number;
  /** Boxes that overlap a better one by more are the same face; 0..1. */
  readonly iouThreshold: number;
  /** At most so many boxes, the best ones; from 1. */
  readonly maxDetections: number;
  /**
   * Small-face mode: besides the whole frame, its shorter side is cut into so many overlapping
   * tiles, the longer one into as many more as fit; each is looked at alone. 1 for none.
   */
  readonly tiles: number;
  /** Clockwise turn, degrees, that would put the frames upright. */
  readonly rotationDeg: QuarterTurn;
}

/** Options of the one-euro filter; lengths are in face sizes, so distance does not matter. */
export interface SmoothingConfig {
  /** Cut-off for a landmark at rest: lower is calmer and slower to follow; above 0. */
  readonly minCutoffHz: number;
  /** Rise of the cut-off with speed, Hz per (face size / second): higher lags less; from 0. */
  readonly beta: number;
  /** Cut-off of the speed estimate: lower ignores noise, higher reacts sooner; above 0. */
  readonly derivativeCutoffHz: number;
  /** The same as minCutoffHz for the head pose; above 0. */
  readonly poseMinCutoffHz: number;
  /** The same as beta for the head pose, whose speed is in radians per second; from 0. */
  readonly poseBeta: number;
}

/** Options of `FaceTracker`. */
export interface TrackerConfig {
  /**
   * Clockwise turn, degrees, that would put the frames upright. Results stay in the coordinates of
   * the frame as it is. The detector needs the same.
   */
  readonly rotationDeg: QuarterTurn;
  /**
   * The frames are mirror images: landmarks keep the names of the subject's own right and left.
   * (`getUserMedia` does not mirror; only what is shown is usually mirrored.)
   */
  readonly mirrored: boolean;
  /** Faces followed at the same time, and the most that `detect()` reports; from 1. */
  readonly maxFaces: number;
  /**
   * The gate: what the network's presence has to be; 0..1. A face is taken up at this plus the
   * hysteresis, and kept down to this minus the hysteresis.
   */
  readonly presenceThreshold: number;
  /** See presenceThreshold; 0..1. */
  readonly presenceHysteresis: number;
  /**
   * A face that does not pass the gate is looked for once more in a region so many times larger
   * before it is given up; from 1, which turns that off.
   */
  readonly retryScale: number;
  /** A face that comes back within so many seconds keeps its id; from 0. */
  readonly reattachS: number;
  /** ... if it is not farther away than so many times its size; from 0. */
  readonly reattachDistance: number;
  /**
   * With some faces tracked but fewer than maxFaces, the detector is asked every so many frames;
   * with no face, and while a lost one may come back, it is asked at once; from 1.
   */
  readonly detectIntervalFrames: number;
  /** After so many frames without any face ...; from 1. */
  readonly idleAfterFrames: number;
  /** ... the detector is asked every so many frames only; from 1. */
  readonly idleIntervalFrames: number;
  /** Looks at each face: 2 also takes the mirrored crop and averages, at twice the cost. */
  readonly views: 1 | 2;
  /** Share of the face box's longer side added at each boundary; 0..1. Trained with the default. */
  readonly roiExtension: number;
  /** Two boxes that overlap by at least this are one face; above 0, up to 1. */
  readonly sameFaceIou: number;
  /** Smoothing of landmarks and pose; null turns it off. */
  readonly smoothing: SmoothingConfig | null;
}

export const DETECTOR_DEFAULTS: DetectorConfig = Object.freeze({
  scoreThreshold: 0.5,
  iouThreshold: 0.4,
  maxDetections: 100,
  tiles: 1,
  rotationDeg: 0,
});

export const SMOOTHING_DEFAULTS: SmoothingConfig = Object.freeze({
  minCutoffHz: 1.0,
  beta: 40.0,
  derivativeCutoffHz: 1.0,
  poseMinCutoffHz: 1.0,
  poseBeta: 8.0,
});

export const TRACKER_DEFAULTS: TrackerConfig = Object.freeze({
  rotationDeg: 0,
  mirrored: false,
  maxFaces: 1,
  presenceThreshold: 0.7,
  presenceHysteresis: 0.05,
  retryScale: 1.5,
  reattachS: 2.0,
  reattachDistance: 2.0,
  detectIntervalFrames: 10,
  idleAfterFrames: 90,
  idleIntervalFrames: 3,
  views: 1,
  roiExtension: 0.25,
  sameFaceIou: 0.5,
  smoothing: SMOOTHING_DEFAULTS,
});

/**
 * Options of a detector; defaults for those left out.
 *
 * @throws ConfigError - a value is outside its range, or no such option exists.
 */
export function makeDetectorConfig(options: Partial<DetectorConfig> = {}): DetectorConfig {
  const config = withDefaults(DETECTOR_DEFAULTS, options);
  requireNumber("scoreThreshold", config.scoreThreshold, 0, 1);
  requireNumber("iouThreshold", config.iouThreshold, 0, 1);
  requireCount("maxDetections", config.maxDetections);
  requireCount("tiles", config.tiles);
  requireOneOf("rotationDeg", config.rotationDeg, QUARTER_TURNS);
  return config;
}

/**
 * Options of the smoothing; defaults for those left out.
 *
 * @throws ConfigError - a value is outside its range, or no such option exists.
 */
export function makeSmoothingConfig(options: Partial<SmoothingConfig> = {}): SmoothingConfig {
  const config = withDefaults(SMOOTHING_DEFAULTS, options);
  requireNumber("minCutoffHz", config.minCutoffHz, Number.MIN_VALUE);
  requireNumber("beta", config.beta, 0);
  requireNumber("derivativeCutoffHz", config.derivativeCutoffHz, Number.MIN_VALUE);
  requireNumber("poseMinCutoffHz", config.poseMinCutoffHz, Number.MIN_VALUE);
  requireNumber("poseBeta", config.poseBeta, 0);
  return config;
}

/**
 * Options of a tracker; defaults for those left out.
 *
 * @throws ConfigError - a value is outside its range, or no such option exists.
 */
export function makeTrackerConfig(options: Partial<TrackerConfig> = {}): TrackerConfig {
  const config = withDefaults(TRACKER_DEFAULTS, options);
  requireOneOf("rotationDeg", config.rotationDeg, QUARTER_TURNS);
  requireOneOf("mirrored", config.mirrored, [false, true]);
  requireCount("maxFaces", config.maxFaces);
  requireNumber("presenceThreshold", config.presenceThreshold, 0, 1);
  requireNumber("presenceHysteresis", config.presenceHysteresis, 0, 1);
  requireNumber("retryScale", config.retryScale, 1);
  requireNumber("reattachS", config.reattachS, 0);
  requireNumber("reattachDistance", config.reattachDistance, 0);
  requireCount("detectIntervalFrames", config.detectIntervalFrames);
  requireCount("idleAfterFrames", config.idleAfterFrames);
  requireCount("idleIntervalFrames", config.idleIntervalFrames);
  requireOneOf("views", config.views, [1, 2]);
  requireNumber("roiExtension", config.roiExtension, 0, 1);
  requireNumber("sameFaceIou", config.sameFaceIou, Number.MIN_VALUE, 1);
  const { smoothing } = config;
  return Object.freeze({
    ...config,
    smoothing: smoothing === null ? null : makeSmoothingConfig(smoothing),
  });
}

/** Presence at which a face is taken up, at most 1. */
export function acceptPresence(config: TrackerConfig): number {
  return Math.min(1, config.presenceThreshold + config.presenceHysteresis);
}

/** Presence down to which a tracked face is kept, at least 0. */
export function keepPresence(config: TrackerConfig): number {
  return Math.max(0, config.presenceThreshold - config.presenceHysteresis);
}

function withDefaults<T extends object>(defaults: T, options: Partial<T>): T {
  const unknown = Object.keys(options).filter((name) => !(name in defaults));
  if (unknown.length > 0) {
    throw new ConfigError(
      `expected options out of ${Object.keys(defaults).join(", ")}, got ${unknown.join(", ")}`,
    );
  }
  return Object.freeze({ ...defaults, ...options });
}

function requireNumber(name: string, value: number, low: number, high = Number.POSITIVE_INFINITY) {
  if (!Number.isFinite(value) || value < low || value > high) {
    const from = low === Number.MIN_VALUE ? "> 0" : `>= ${low}`;
    const to = high === Number.POSITIVE_INFINITY ? "" : `, <= ${high}`;
    throw new ConfigError(`expected ${name} to be a finite number ${from}${to}, got ${value}`);
  }
}

function requireCount(name: string, value: number) {
  if (!Number.isInteger(value) || value < 1) {
    throw new ConfigError(`expected ${name} to be a whole number from 1, got ${value}`);
  }
}

function requireOneOf(name: string, value: unknown, allowed: readonly unknown[]) {
  if (!allowed.includes(value)) {
    throw new ConfigError(
      `expected ${name} to be ${allowed.map(String).join(" or ")}, got ${String(value)}`,
    );
  }
}
