/** Network outputs -> landmarks, pose, presence and boxes in frame pixels. Pure functions. */

import type { DetectorConfig } from "./config.js";
import { boxFromLandmarks, landmarksToFrame, mapPoints, mirrorLandmarks } from "./geometry.js";
import type { AlignmentOutputs } from "./network.js";
import { headPose, mirrorRotation, rotateInImage, rotationFromEuler } from "./rotation.js";
import type { Box, Detection, HeadPose, Landmarks, Roi } from "./types.js";

const MAX_LANDMARK = 100; // crop units, 0..1 inside the crop: beyond it the network has gone astray
const SMALLEST_AREA = 1.1754943508222875e-38; // the smallest normal float32: no division by zero

/** What the network says about one region. */
export interface Alignment {
  /** Frame pixels. */
  readonly landmarks: Landmarks;
  /** Orientation of the head, in the frame. */
  readonly pose: HeadPose;
  /** Probability that the region shows a face, 0..1. */
  readonly presence: number;
}

/** Average the outputs for a crop with those for its mirror image, brought back. */
export function averageViews(
  plain: AlignmentOutputs,
  mirrored: AlignmentOutputs,
): AlignmentOutputs {
  const pose = mirrored.pose.map((angle, axis) => (axis === 1 ? angle : -angle)); // yaw and roll
  return {
    landmarks: average(plain.landmarks, mirrorLandmarks(mirrored.landmarks)),
    pose: average(plain.pose, pose),
    presence: average(plain.presence, mirrored.presence),
    cropMs: (plain.cropMs ?? 0) + (mirrored.cropMs ?? 0),
  };
}

/**
 * Read the outputs of the alignment network.
 *
 * @param roi - the region that was cropped. Where it is rotated, the pose is turned with it.
 * @param mirrored - the network saw the mirror image of the region. Landmarks keep their names and
 *   come back to their places in the frame; so does the pose.
 * @returns null when a value is not finite, or a landmark absurdly far away: there is nothing to
 *   follow then.
 */
export function decodeAlignment(
  outputs: AlignmentOutputs,
  roi: Roi,
  mirrored = false,
): Alignment | null {
  if (!isUsable(outputs)) {
    return null;
  }
  const { landmarks, pose, presence } = outputs;
  const [yaw = 0, pitch = 0, roll = 0] = pose;
  let rotation = rotationFromEuler(yaw, pitch, roll);
  let points = landmarks;
  if (mirrored) {
    rotation = mirrorRotation(rotation);
    points = mapPoints(points, (x, y) => [1 - x, y]);
  }
  if (roi.rotationRad !== 0) {
    rotation = rotateInImage(rotation, roi.rotationRad);
  }
  return {
    landmarks: landmarksToFrame(points, roi),
    pose: headPose(rotation),
    presence: presence[presence.length - 1] ?? Number.NaN,
  };
}

/** Whether all numbers are finite, and the landmarks in reach. */
function isUsable({ landmarks, pose, presence }: AlignmentOutputs): boolean {
  return (
    landmarks.every((value) => Math.abs(value) < MAX_LANDMARK) && // NaN compares false
    pose.every(Number.isFinite) &&
    presence.every(Number.isFinite)
  );
}

/**
 * Read the outputs of the detector network: threshold, non-maximum suppression, to the frame.
 *
 * @param boxes - left, top, right, bottom of each box, crop units.
 * @param scores - one per box.
 * @param roi - the region that the input showed, turned by a multiple of 90 degrees.
 * @returns best first. Boxes may reach beyond the frame, as faces do. Boxes that are empty or not
 *   finite are left out.
 */
export function decodeDetections(
  boxes: Float32Array,
  scores: Float32Array,
  roi: Roi,
  config: Pick<DetectorConfig, "scoreThreshold" | "iouThreshold" | "maxDetections">,
): Detection[] {
  const threshold = Math.fround(config.scoreThreshold);
  const usable: Detection[] = [];
  scores.forEach((score, index) => {
    const [left = 0, top = 0, right = 0, bottom = 0] = boxes.subarray(4 * index, 4 * index + 4);
    const box: Box = [left, top, right, bottom];
    if (score >= threshold && box.every(Number.isFinite) && right > left && bottom > top) {
      usable.push({ box, score });
    }
  });
  const chosen = suppressOverlaps(usable, config.iouThreshold, config.maxDetections);
  return chosen.map(({ box, score }) => {
    // A turn exchanges the corners: the box of both is taken.
    const corners = landmarksToFrame(Float32Array.from(box), roi);
    return { box: boxFromLandmarks(corners), score };
  });
}

/**
 * Greedy non-maximum suppression.
 *
 * @param iouThreshold - a box that overlaps a better one by more than this is dropped.
 * @param maxBoxes - stop after so many.
 * @returns the boxes kept, best first; of equal scores the earlier one is better.
 */
export function suppressOverlaps(
  detections: readonly Detection[],
  iouThreshold: number,
  maxBoxes: number,
): Detection[] {
  const kept: Detection[] = [];
  for (const one of [...detections].sort((a, b) => b.score - a.score)) {
    if (kept.length === maxBoxes) {
      break;
    }
    if (kept.every((better) => overlap(better.box, one.box) <= iouThreshold)) {
      kept.push(one);
    }
  }
  return kept;
}

/** Intersection over union; of empty boxes 0. */
function overlap(a: Box, b: Box): number {
  const width = Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0]));
  const height = Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
  const areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]);
  return (width * height) / Math.max(areas - width * height, SMALLEST_AREA);
}

function average(a: Float32Array, b: Float32Array): Float32Array {
  return a.map((value, index) => (value + (b[index] as number)) / 2);
}
