/** A whole frame in a square, for the detector. Pure functions. */

import type { QuarterTurn } from "./config.js";
import { toTensor } from "./crop.js";
import { uprightRotation } from "./geometry.js";
import type { InputSpec } from "./manifest.js";
import { roundHalfEven } from "./numbers.js";
import { type Frame, makeRoi, type Roi } from "./types.js";

/** Where a frame lies in a square. */
export interface LetterboxLayout {
  /** Left column, top row, and the ones behind the last. */
  readonly box: readonly [left: number, top: number, right: number, bottom: number];
  /** The region of the frame that the square shows. */
  readonly roi: Roi;
}

/** How much of which source pixels makes one pixel along an axis. */
interface Tap {
  readonly first: number;
  readonly weights: readonly number[];
}

/**
 * Where a frame lies in a square: its longer side fills it; centred, black bars.
 *
 * @param width - of the frame, pixels.
 * @param height - of the frame, pixels.
 * @param resolution - pixels on a side of the square.
 */
export function letterboxLayout(
  width: number,
  height: number,
  resolution: number,
): LetterboxLayout {
  const longer = Math.max(width, height);
  const newWidth = centeredLength(width, longer, resolution);
  const newHeight = centeredLength(height, longer, resolution);
  const left = Math.floor((resolution - newWidth) / 2);
  const top = Math.floor((resolution - newHeight) / 2);
  return {
    box: [left, top, left + newWidth, top + newHeight],
    roi: makeRoi((width - 1) / 2, (height - 1) / 2, longer),
  };
}

/**
 * The whole frame as a network input, and the region it shows.
 *
 * @param rotationDeg - clockwise turn that puts the frame upright.
 */
export function letterboxTensor(
  frame: Frame,
  spec: InputSpec,
  rotationDeg: QuarterTurn = 0,
): { readonly tensor: Float32Array; readonly roi: Roi } {
  const side = spec.resolution;
  const { box, roi } = letterboxLayout(frame.width, frame.height, side);
  const [left, top, right, bottom] = box;
  const scaled = resize(frame, right - left, bottom - top);
  const square = new Uint8Array(3 * side * side);
  const rowLength = 3 * (right - left);
  for (let row = top; row < bottom; row += 1) {
    const from = (row - top) * rowLength;
    square.set(scaled.subarray(from, from + rowLength), 3 * (row * side + left));
  }
  const turned = makeRoi(roi.centerX, roi.centerY, roi.size, uprightRotation(rotationDeg));
  return { tensor: toTensor(turnClockwise(square, side, rotationDeg), spec), roi: turned };
}

/** Scaled length, rounded so that the bars on both sides are equal: the centre stays exact. */
function centeredLength(length: number, longer: number, resolution: number): number {
  const bar = roundHalfEven((resolution - (length * resolution) / longer) / 2);
  return Math.max(resolution - 2 * bar, 2 - (resolution % 2));
}

/** Resize: averages where it shrinks, so that small faces do not alias; bilinear where it grows. */
function resize(frame: Frame, width: number, height: number): Uint8Array {
  const columns = axisTaps(frame.width, width);
  const rows = axisTaps(frame.height, height);
  const resized = new Uint8Array(3 * width * height);
  const line = new Float32Array(3 * frame.width);
  rows.forEach((tap, row) => {
    line.fill(0);
    tap.weights.forEach((weight, offset) => {
      addRow(frame, tap.first + offset, weight, line);
    });
    resizeLine(line, columns, resized.subarray(3 * row * width, 3 * (row + 1) * width));
  });
  return resized;
}

/** Add a weighted row of a frame, without alpha, to a line. */
function addRow({ data, width }: Frame, row: number, weight: number, line: Float32Array): void {
  let from = 4 * width * row;
  for (let to = 0; to < line.length; to += 3) {
    line[to] = (line[to] as number) + weight * (data[from] as number);
    line[to + 1] = (line[to + 1] as number) + weight * (data[from + 1] as number);
    line[to + 2] = (line[to + 2] as number) + weight * (data[from + 2] as number);
    from += 4;
  }
}

/** Resize one line of red, green, blue per pixel. */
function resizeLine(line: Float32Array, columns: readonly Tap[], resized: Uint8Array): void {
  let to = 0;
  for (const { first, weights } of columns) {
    let [red, green, blue] = [0.5, 0.5, 0.5]; // what is stored is cut off, not rounded
    let from = 3 * first;
    for (const weight of weights) {
      red += weight * (line[from] as number);
      green += weight * (line[from + 1] as number);
      blue += weight * (line[from + 2] as number);
      from += 3;
    }
    resized[to] = red;
    resized[to + 1] = green;
    resized[to + 2] = blue;
    to += 3;
  }
}

function axisTaps(from: number, to: number): Tap[] {
  const scale = from / to;
  const tap = from > to ? areaTap : linearTap;
  return Array.from({ length: to }, (_, index) => tap(index, scale, from));
}

function areaTap(index: number, scale: number, length: number): Tap {
  const start = index * scale;
  const end = Math.min(start + scale, length);
  const first = Math.floor(start + 1e-9);
  const last = Math.max(first, Math.ceil(end - 1e-9) - 1);
  const weights = Array.from({ length: last - first + 1 }, (_, offset) => {
    const pixel = first + offset;
    return (Math.min(end, pixel + 1) - Math.max(start, pixel)) / scale;
  });
  return { first, weights };
}

function linearTap(index: number, scale: number, length: number): Tap {
  const place = Math.min(length - 1, Math.max(0, (index + 0.5) * scale - 0.5));
  const first = Math.floor(place);
  const share = place - first;
  return { first, weights: share === 0 ? [1] : [1 - share, share] };
}

/** Turn a square picture (red, green, blue per pixel) by quarter turns. */
function turnClockwise(square: Uint8Array, side: number, rotationDeg: QuarterTurn): Uint8Array {
  if (rotationDeg === 0) {
    return square;
  }
  const turned = new Uint8Array(square.length);
  for (let row = 0; row < side; row += 1) {
    for (let column = 0; column < side; column += 1) {
      const [fromRow, fromColumn] = sourceOf(row, column, side - 1, rotationDeg);
      const from = 3 * (fromRow * side + fromColumn);
      turned.set(square.subarray(from, from + 3), 3 * (row * side + column));
    }
  }
  return turned;
}

/** Which pixel of the square comes to (row, column) in the turned one. */
function sourceOf(
  row: number,
  column: number,
  last: number,
  rotationDeg: QuarterTurn,
): readonly [number, number] {
  if (rotationDeg === 90) {
    return [last - column, row];
  }
  return rotationDeg === 180 ? [last - row, last - column] : [column, last - row];
}
