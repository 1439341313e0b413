/**
 * The nouns of the package: frames, regions, poses, faces and results. All are plain data, so that
 * they survive `postMessage`.
 */

import { InvalidFrameError } from "./errors.js";

/** A picture as `CanvasRenderingContext2D.getImageData` gives it; an `ImageData` is one. */
export interface Frame {
  /** Columns, pixels. */
  readonly width: number;
  /** Rows, pixels. */
  readonly height: number;
  /** Red, green, blue, alpha of each pixel, row by row; alpha is not looked at. */
  readonly data: Uint8ClampedArray | Uint8Array;
}

/** A square region of a frame, the network's field of view. */
export interface Roi {
  /** Centre, frame pixels, x right, pixel centres at integers. */
  readonly centerX: number;
  /** Centre, frame pixels, y down. */
  readonly centerY: number;
  /** Length of a side, frame pixels, above 0. */
  readonly size: number;
  /** Clockwise in the image, radians. */
  readonly rotationRad: number;
}

/** Left, top, right, bottom, frame pixels. */
export type Box = readonly [left: number, top: number, right: number, bottom: number];

/** A 3x3 matrix, row by row. */
// prettier-ignore
export type Rotation = readonly [
  number, number, number,
  number, number, number,
  number, number, number,
];

/**
 * The orientation of a head. Angles have the signs of 300W-LP and AFLW2000: `yawDeg > 0` the face
 * turns to the left edge of the image, `pitchDeg > 0` it looks up, `rollDeg > 0` it tilts
 * clockwise in the image.
 */
export interface HeadPose {
  /** Camera <- head, axes x right, y up, z towards the camera: Rz(-roll) Rx(-pitch) Ry(-yaw). */
  readonly rotation: Rotation;
  /** -180..180. */
  readonly yawDeg: number;
  /** -90..90. */
  readonly pitchDeg: number;
  /** -180..180. */
  readonly rollDeg: number;
}

/** x and y of one landmark after the other: landmark i is at 2i and 2i + 1. */
export type Landmarks = Float32Array;

/** One face of one frame. */
export interface Face {
  /** Number of the track, from 0, not used twice between two `reset()`s; -1 outside tracks. */
  readonly trackId: number;
  /** Frame pixels, x right, y down; smoothed where smoothing is on. */
  readonly landmarks: Landmarks;
  /** Frame pixels, as the network gave them. */
  readonly rawLandmarks: Landmarks;
  /** Probability that the region shows a face, 0..1. */
  readonly presence: number;
  /** Smoothed where smoothing is on. */
  readonly pose: HeadPose;
  /** As the network gave it. */
  readonly rawPose: HeadPose;
  /** The region the network looked at. */
  readonly roi: Roi;
  /** "detected" when the detector found the face in this frame, else "tracked". */
  readonly source: Source;
}

export type Source = "detected" | "tracked";

/** A box found by a detector. */
export interface Detection {
  /** The bounding box of the landmarks. */
  readonly box: Box;
  /** Confidence, 0..1. */
  readonly score: number;
}

/** Wall time of one frame by stage, milliseconds; 0 for a stage that did not run. */
export interface StageTimings {
  readonly detectorMs: number;
  readonly cropMs: number;
  readonly networkMs: number;
  /** Decoding, gate, smoothing, association. */
  readonly trackerMs: number;
}

/** What one frame gave. */
export interface TrackResult {
  /** By trackId from `track()`, best detection first from `detect()`; empty when there is none. */
  readonly faces: readonly Face[];
  /** The frame's time, seconds. */
  readonly timestampS: number;
  readonly timings: StageTimings;
  /** Whether the detector was asked in this frame. */
  readonly detectorRan: boolean;
  /** Tracks of the frame before that have no face in this one. */
  readonly lostIds: readonly number[];
}

/**
 * Make a region, checked.
 *
 * @throws InvalidFrameError - a value is not finite, or the size is not above 0.
 */
export function makeRoi(centerX: number, centerY: number, size: number, rotationRad = 0): Roi {
  const finite = [centerX, centerY, size, rotationRad].every(Number.isFinite);
  if (!finite || size <= 0) {
    throw new InvalidFrameError(
      "expected a Roi of finite numbers with size > 0, got " +
        `center (${centerX}, ${centerY}), size ${size}, rotation ${rotationRad}`,
    );
  }
  return { centerX, centerY, size, rotationRad };
}

/** Sum of the stages, milliseconds. */
export function totalMs(timings: StageTimings): number {
  return timings.detectorMs + timings.cropMs + timings.networkMs + timings.trackerMs;
}

/**
 * Check a frame at the border of the package.
 *
 * @throws InvalidFrameError - it is empty, or its bytes are not four per pixel.
 */
export function checkFrame(frame: Frame): void {
  const { width, height, data } = frame;
  const counts = Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0;
  if (!counts || data.length !== 4 * width * height) {
    throw new InvalidFrameError(
      "expected a frame of width x height RGBA pixels, four bytes each, " +
        `got ${width} x ${height} and ${data.length} bytes`,
    );
  }
}
