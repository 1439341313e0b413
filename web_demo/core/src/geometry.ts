/**
 * Regions and crop transforms. Pure functions.
 *
 * Two coordinate systems for a crop: *crop pixels*, pixel centres at integers, and *crop units*,
 * 0..1 from the outer edge of the first pixel to the outer edge of the last, whatever the
 * resolution: `u = (pixel + 0.5) / resolution`. The network's landmarks are crop units.
 */

import { MIRROR } from "./landmarks.js";
import { roundHalfUp } from "./numbers.js";
import { type Box, type Landmarks, makeRoi, type Roi } from "./types.js";

/** Of the longer side, on each boundary: side = 1.5 x (arXiv 2103.07615, sec. 3). */
export const ROI_EXTENSION = 0.25;

const POSITION_STEP = 0.02; // of the grid of centres, share of the size
const SIZE_STEP = 0.035; // of the grid of sizes, in their natural logarithm
const KEEP = 1; // grid steps that a region may be off before it moves; with less, some never rest

/** An affine map: x' = a x + b y + c, y' = d x + e y + f. */
// prettier-ignore
export type Affine = readonly [
  a: number, b: number, c: number,
  d: number, e: number, f: number,
];

/** Bounding box of landmarks. */
export function boxFromLandmarks(landmarks: Landmarks): Box {
  let [left, top] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  let [right, bottom] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let index = 0; index < landmarks.length; index += 2) {
    const x = landmarks[index] as number;
    const y = landmarks[index + 1] as number;
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  }
  return [left, top, right, bottom];
}

/** Length of a box's longer side. */
export function longerSide([left, top, right, bottom]: Box): number {
  return Math.max(right - left, bottom - top);
}

/**
 * Square region around a box: its centre, its longer side extended on each boundary.
 *
 * @param extension - share of the longer side added at each boundary.
 * @param rotationRad - of the region, clockwise in the image.
 * @throws InvalidFrameError - the box is empty or not finite.
 */
export function roiFromBox(box: Box, extension = ROI_EXTENSION, rotationRad = 0): Roi {
  const [left, top, right, bottom] = box;
  const size = longerSide(box) * (1 + 2 * extension);
  return makeRoi((left + right) / 2, (top + bottom) / 2, size, rotationRad);
}

/** Region in which a face with these landmarks is looked for in the next frame. */
export function roiFromLandmarks(landmarks: Landmarks, extension = ROI_EXTENSION): Roi {
  return roiFromBox(boxFromLandmarks(landmarks), extension);
}

/** Intersection over union of two boxes, 0..1. */
export function boxIou(a: Box, b: Box): number {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) {
    return 0;
  }
  const intersection = width * height;
  const areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]);
  return intersection / (areas - intersection);
}

/**
 * Where to look next: the same region as long as it fits, else a nearby one out of a grid.
 *
 * A region that follows every small change of the landmarks feeds the network's own noise back to
 * it. One that rests until it is off by `KEEP` of a grid step, and then jumps to the grid, ends
 * that, and engines whose last digits differ agree over whole clips.
 *
 * @param current - the region of this frame.
 * @param target - the region by this frame's landmarks.
 */
export function steadyRoi(current: Roi, target: Roi): Roi {
  const reach = KEEP * POSITION_STEP * current.size;
  const fits =
    Math.abs(target.centerX - current.centerX) <= reach &&
    Math.abs(target.centerY - current.centerY) <= reach &&
    Math.abs(Math.log(target.size / current.size)) <= KEEP * SIZE_STEP &&
    target.rotationRad === current.rotationRad;
  return fits ? current : onGrid(target);
}

/** The nearest of the regions that `steadyRoi` jumps to; at most half a step away. */
export function onGrid(roi: Roi): Roi {
  const size = Math.exp(roundHalfUp(Math.log(roi.size) / SIZE_STEP) * SIZE_STEP);
  const step = POSITION_STEP * size;
  return makeRoi(
    roundHalfUp(roi.centerX / step) * step,
    roundHalfUp(roi.centerY / step) * step,
    size,
    roi.rotationRad,
  );
}

/**
 * How a region is turned that shows faces upright, in radians, clockwise in the image.
 *
 * @param rotationDeg - clockwise turn that would put the frame upright.
 */
export function uprightRotation(rotationDeg: number): number {
  const turn = (((179 - rotationDeg) % 360) + 360) % 360; // above -180, up to 180
  return ((turn - 179) * Math.PI) / 180;
}

/**
 * Affine map of crop pixels to frame pixels.
 *
 * @param resolution - pixels on a side of the crop.
 */
export function cropToFrameMatrix(roi: Roi, resolution: number): Affine {
  const scale = roi.size / resolution;
  const cos = scale * Math.cos(roi.rotationRad);
  const sin = scale * Math.sin(roi.rotationRad);
  const middle = (resolution - 1) / 2;
  // prettier-ignore
  return [
    cos, -sin, roi.centerX - middle * (cos - sin),
    sin, cos, roi.centerY - middle * (sin + cos),
  ];
}

/** Move landmarks from crop units to frame pixels. */
export function landmarksToFrame(landmarks: Landmarks, roi: Roi): Landmarks {
  const cos = roi.size * Math.cos(roi.rotationRad);
  const sin = roi.size * Math.sin(roi.rotationRad);
  return mapPoints(landmarks, (x, y) => [
    roi.centerX + cos * (x - 0.5) - sin * (y - 0.5),
    roi.centerY + sin * (x - 0.5) + cos * (y - 0.5),
  ]);
}

/** Move landmarks from frame pixels to crop units: the inverse of landmarksToFrame. */
export function landmarksToCrop(landmarks: Landmarks, roi: Roi): Landmarks {
  const cos = Math.cos(roi.rotationRad) / roi.size;
  const sin = Math.sin(roi.rotationRad) / roi.size;
  return mapPoints(landmarks, (frameX, frameY) => {
    const [x, y] = [frameX - roi.centerX, frameY - roi.centerY];
    return [0.5 + cos * x + sin * y, 0.5 - sin * x + cos * y];
  });
}

/** Landmarks (crop units) in the mirrored crop: other places, and right is left. */
export function mirrorLandmarks(landmarks: Landmarks): Landmarks {
  const mirrored = new Float32Array(landmarks.length);
  MIRROR.forEach((from, to) => {
    mirrored[2 * to] = 1 - (landmarks[2 * from] as number);
    mirrored[2 * to + 1] = landmarks[2 * from + 1] as number;
  });
  return mirrored;
}

/** Apply a map to each point. */
export function mapPoints(
  points: Landmarks,
  map: (x: number, y: number) => readonly [number, number],
): Landmarks {
  const mapped = new Float32Array(points.length);
  for (let index = 0; index < points.length; index += 2) {
    const [x, y] = map(points[index] as number, points[index + 1] as number);
    mapped[index] = x;
    mapped[index + 1] = y;
  }
  return mapped;
}
