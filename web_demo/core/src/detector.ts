/** Finding faces in a whole frame. */

import { type DetectorConfig, makeDetectorConfig } from "./config.js";
import { decodeDetections, suppressOverlaps } from "./decode.js";
import { letterboxTensor } from "./letterbox.js";
import { type Backend, outputOf, requireOutputs } from "./network.js";
import { roundHalfEven } from "./numbers.js";
import type { Detection, Frame } from "./types.js";

const TILE_OVERLAP = 0.25; // of a tile, shared with the next one: more than the small faces it is for
const MIN_TILE = 32; // pixels: smaller ones show no face better, and a thin frame would have thousands
const BORDER = 0.02; // of a tile: a box that comes so near to an inner edge is a part of a face

/** Finds faces; an app can bring its own. */
export interface Detector {
  /**
   * The faces of a frame, best first; empty when there is none.
   */
  detect(frame: Frame): Promise<readonly Detection[]>;
}

/** A part of a frame, pixels: the first column and row, and those behind the last. */
export interface Tile {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** The project's own detector: one network on the letterboxed frame, and on tiles of it. */
export class NetworkDetector implements Detector {
  readonly #backend: Backend;
  readonly #config: DetectorConfig;

  /**
   * @param backend - runs the network; stays the caller's to close.
   * @throws ModelMismatchError - the network has no boxes and scores.
   * @throws ConfigError - an option is outside its range.
   */
  constructor(backend: Backend, options: Partial<DetectorConfig> = {}) {
    requireOutputs(backend.spec, ["boxes", "scores"]);
    this.#backend = backend;
    this.#config = makeDetectorConfig(options);
  }

  /** See `Detector`. */
  async detect(frame: Frame): Promise<readonly Detection[]> {
    const found = await this.#look(frame);
    if (this.#config.tiles === 1) {
      return found;
    }
    for (const tile of tilesOf(frame.width, frame.height, this.#config.tiles)) {
      const inside = await this.#look(partOf(frame, tile));
      const whole = inside.filter((one) => !isCut(one, tile, frame));
      found.push(...whole.map((one) => moved(one, tile)));
    }
    return suppressOverlaps(found, this.#config.iouThreshold, this.#config.maxDetections);
  }

  async #look(frame: Frame): Promise<Detection[]> {
    const { spec } = this.#backend;
    const { tensor, roi } = letterboxTensor(frame, spec.input, this.#config.rotationDeg);
    const outputs = await this.#backend.run(tensor);
    const boxes = outputOf(outputs, "boxes", spec);
    return decodeDetections(boxes, outputOf(outputs, "scores", spec), roi, this.#config);
  }
}

/**
 * Overlapping squares that cover a frame, row by row.
 *
 * @param width - of the frame, pixels.
 * @param height - of the frame, pixels.
 * @param count - of tiles along the shorter side; the longer one has as many as it takes.
 * @returns at least `count` tiles of one size; empty for frames too small to be cut.
 */
export function tilesOf(width: number, height: number, count: number): Tile[] {
  const size = roundHalfEven(Math.min(width, height) / (count - (count - 1) * TILE_OVERLAP));
  if (size < MIN_TILE) {
    return [];
  }
  const lefts = tileStarts(width, size);
  return tileStarts(height, size).flatMap((top) =>
    lefts.map((left) => ({ left, top, right: left + size, bottom: top + size })),
  );
}

/** Where tiles begin along a side: evenly, the last at the end, sharing at least the overlap. */
function tileStarts(length: number, size: number): number[] {
  const free = length - size;
  const count = 1 + Math.ceil(free / (size * (1 - TILE_OVERLAP)) - 0.01); // for the rounding above
  return Array.from({ length: count }, (_, index) =>
    roundHalfEven((free * index) / Math.max(count - 1, 1)),
  );
}

function partOf(frame: Frame, tile: Tile): Frame {
  const width = tile.right - tile.left;
  const height = tile.bottom - tile.top;
  const data = new Uint8Array(4 * width * height);
  for (let row = 0; row < height; row += 1) {
    const from = 4 * ((tile.top + row) * frame.width + tile.left);
    data.set(frame.data.subarray(from, from + 4 * width), 4 * row * width);
  }
  return { width, height, data };
}

function moved({ box, score }: Detection, { left, top }: Tile): Detection {
  return { box: [box[0] + left, box[1] + top, box[2] + left, box[3] + top], score };
}

/** Whether a box, in the tile's pixels, reaches an edge of the tile that is not the frame's. */
function isCut({ box }: Detection, tile: Tile, frame: Frame): boolean {
  const [left, top, right, bottom] = box;
  const width = tile.right - tile.left;
  const height = tile.bottom - tile.top;
  const margin = BORDER * width;
  return (
    (tile.left > 0 && left < margin) ||
    (tile.top > 0 && top < margin) ||
    (tile.right < frame.width && right > width - margin) ||
    (tile.bottom < frame.height && bottom > height - margin)
  );
}
