/** Regions of a frame as network inputs. Pure functions. */

import { cropToFrameMatrix } from "./geometry.js";
import type { InputSpec } from "./manifest.js";
import type { Frame, Roi } from "./types.js";

/**
 * Cut a region out of a frame in one affine, bilinear pass; black outside the frame.
 *
 * @param resolution - pixels on a side of the crop.
 * @param mirrored - the mirror image of the region.
 * @returns red, green, blue of each pixel, row by row, whole numbers 0..255.
 */
export function cropFrame(
  frame: Frame,
  roi: Roi,
  resolution: number,
  mirrored = false,
): Uint8Array {
  const [a, b, c, d, e, f] = cropToFrameMatrix(roi, resolution);
  const crop = new Uint8Array(3 * resolution * resolution);
  let target = 0;
  for (let row = 0; row < resolution; row += 1) {
    for (let step = 0; step < resolution; step += 1) {
      const column = mirrored ? resolution - 1 - step : step;
      samplePixel(frame, a * column + b * row + c, d * column + e * row + f, crop, target);
      target += 3;
    }
  }
  return crop;
}

/** Write the colour between the four pixels around a place; those outside the frame are black. */
function samplePixel(frame: Frame, x: number, y: number, crop: Uint8Array, target: number): void {
  const left = Math.floor(x);
  const top = Math.floor(y);
  if (left < -1 || top < -1 || left >= frame.width || top >= frame.height) {
    return;
  }
  const [right, low] = [x - left, y - top]; // shares of the right column and the lower row
  const hasLeft = left >= 0 ? 1 - right : 0;
  const hasRight = left + 1 < frame.width ? right : 0;
  const upper = top >= 0 ? 1 - low : 0;
  const lower = top + 1 < frame.height ? low : 0;
  const { data } = frame;
  const first = 4 * (top * frame.width + left);
  const below = first + 4 * frame.width;
  for (let channel = 0; channel < 3; channel += 1) {
    // Weights of 0 stand for pixels that are not there: what is read instead does not count.
    const value =
      upper *
        (hasLeft * byteAt(data, first + channel) + hasRight * byteAt(data, first + 4 + channel)) +
      lower *
        (hasLeft * byteAt(data, below + channel) + hasRight * byteAt(data, below + 4 + channel));
    crop[target + channel] = value + 0.5;
  }
}

function byteAt(data: Frame["data"], index: number): number {
  return data[index] ?? 0;
}

/**
 * Turn a square picture into a network input.
 *
 * @param picture - red, green, blue of each pixel, row by row.
 * @param spec - what the network takes.
 * @returns of `spec.shape`, values 0..255.
 */
export function toTensor(picture: Uint8Array, spec: InputSpec): Float32Array {
  if (spec.layout === "NHWC") {
    return Float32Array.from(picture);
  }
  const plane = picture.length / 3;
  const tensor = new Float32Array(picture.length);
  for (let pixel = 0; pixel < plane; pixel += 1) {
    for (let channel = 0; channel < 3; channel += 1) {
      tensor[channel * plane + pixel] = picture[3 * pixel + channel] as number;
    }
  }
  return tensor;
}

/** A region of a frame as a network input: see `cropFrame`. */
export function cropTensor(
  frame: Frame,
  roi: Roi,
  spec: InputSpec,
  mirrored = false,
): Float32Array {
  return toTensor(cropFrame(frame, roi, spec.resolution, mirrored), spec);
}
