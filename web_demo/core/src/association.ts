/** Which boxes show the same face. Pure functions. */

import { boxIou, longerSide } from "./geometry.js";
import { roundHalfEven } from "./numbers.js";
import type { Box } from "./types.js";

const MAX_SIZE_RATIO = 2; // between a lost face and one that may be it

/** Whether a box shows the same face as one of the others: IoU at or above the threshold. */
export function overlapsAny(box: Box, others: readonly Box[], iouThreshold: number): boolean {
  return others.some((other) => boxIou(box, other) >= iouThreshold);
}

/**
 * Choose one track per face.
 *
 * Of two tracks on one face the one with the lower presence goes: its region fits the face worse.
 * Where presences agree to two decimals, noise must not decide, and the later in the order goes.
 *
 * @param boxes - per track, the one to be preferred first.
 * @param presences - per track.
 * @param iouThreshold - tracks whose boxes overlap by at least this sit on one face.
 * @returns indices of the tracks to keep, ascending.
 */
export function distinctFaces(
  boxes: readonly Box[],
  presences: readonly number[],
  iouThreshold: number,
): number[] {
  const percents = presences.map((presence) => roundHalfEven(presence * 100));
  const order = boxes
    .map((box, index) => ({ box, index, percent: percents[index] ?? 0 }))
    .sort((a, b) => b.percent - a.percent || a.index - b.index);
  const kept: { readonly box: Box; readonly index: number }[] = [];
  for (const one of order) {
    const others = kept.map((other) => other.box);
    if (!overlapsAny(one.box, others, iouThreshold)) {
      kept.push(one);
    }
  }
  return kept.map((one) => one.index).sort((a, b) => a - b);
}

/**
 * Which faces that were lost have come back.
 *
 * The nearest pair first; a face is matched once. Distances are between centres, in longer sides of
 * the lost face's box.
 *
 * @param boxes - of the faces that were found.
 * @param lostBoxes - where lost faces were last seen.
 * @param maxDistance - farther away, it is another face.
 * @returns per found face the index of the lost one, null where it is none of them.
 */
export function matchLost(
  boxes: readonly Box[],
  lostBoxes: readonly Box[],
  maxDistance: number,
): (number | null)[] {
  const pairs = boxes
    .flatMap((box, found) =>
      lostBoxes.map((other, lost) => ({ distance: distanceTo(box, other), found, lost })),
    )
    .filter((pair) => pair.distance <= maxDistance)
    .sort((a, b) => a.distance - b.distance || a.found - b.found || a.lost - b.lost);
  const matches = new Map<number, number>();
  const taken = new Set<number>();
  for (const { found, lost } of pairs) {
    if (!matches.has(found) && !taken.has(lost)) {
      matches.set(found, lost);
      taken.add(lost);
    }
  }
  return boxes.map((_, found) => matches.get(found) ?? null);
}

/** Between the centres, in sizes of the lost face; infinite for faces of other sizes. */
function distanceTo(box: Box, lost: Box): number {
  const size = longerSide(lost);
  const ratio = longerSide(box) / size;
  if (!(ratio >= 1 / MAX_SIZE_RATIO && ratio <= MAX_SIZE_RATIO)) {
    return Number.POSITIVE_INFINITY;
  }
  const dx = (box[0] + box[2] - lost[0] - lost[2]) / 2;
  const dy = (box[1] + box[3] - lost[1] - lost[3]) / 2;
  return Math.hypot(dx, dy) / size;
}
