/** A world of circles instead of pictures: the tracker's logic alone, as in Python's WorldTracker. */

import type {
  AlignmentNetwork,
  AlignmentOutputs,
  Detection,
  Detector,
  Frame,
  Roi,
} from "../src/index.js";
import { NUM_LANDMARKS } from "../src/index.js";

/** A face: a circle. */
export interface WorldFace {
  /** Centre, frame pixels. */
  readonly x: number;
  readonly y: number;
  /** Diameter, frame pixels. */
  readonly size: number;
  /** What the network says of it, 0..1. */
  readonly presence: number;
}

/**
 * Outputs of the alignment network for a face whose landmarks stand on a circle.
 *
 * @param x - centre, crop units; so is y.
 * @param size - diameter, crop units.
 */
export function circle(x: number, y: number, size: number, presence: number): AlignmentOutputs {
  const landmarks = new Float32Array(2 * NUM_LANDMARKS);
  for (let index = 0; index < NUM_LANDMARKS; index += 1) {
    const turn = index < 4 ? index / 4 : (index - 4) / (NUM_LANDMARKS - 5);
    landmarks[2 * index] = x + (size / 2) * Math.cos(2 * Math.PI * turn);
    landmarks[2 * index + 1] = y + (size / 2) * Math.sin(2 * Math.PI * turn);
  }
  return { landmarks, pose: new Float32Array(3), presence: Float32Array.of(presence) };
}

/** Network and detector that see the faces of the present moment. */
export class World implements AlignmentNetwork, Detector {
  faces: readonly WorldFace[] = [];

  run(_frame: Frame, roi: Roi): Promise<AlignmentOutputs> {
    const reach = roi.size / 2;
    const near = this.faces
      .filter(
        (face) =>
          Math.abs(face.x - roi.centerX) <= reach && Math.abs(face.y - roi.centerY) <= reach,
      )
      .map((face) => ({ face, far: Math.hypot(face.x - roi.centerX, face.y - roi.centerY) }))
      .sort((a, b) => a.far - b.far)[0]?.face;
    if (near === undefined) {
      return Promise.resolve(circle(0.5, 0.5, 2 / 3, 0));
    }
    const x = (near.x - roi.centerX) / roi.size + 0.5;
    const y = (near.y - roi.centerY) / roi.size + 0.5;
    return Promise.resolve(circle(x, y, near.size / roi.size, near.presence));
  }

  detect(): Promise<readonly Detection[]> {
    const found = [...this.faces]
      .sort((a, b) => b.size - a.size)
      .map(({ x, y, size }): Detection => {
        const half = size / 2;
        return { box: [x - half, y - half, x + half, y + half], score: 0.9 };
      });
    return Promise.resolve(found);
  }
}

/** A black frame. */
export function blackFrame(width: number, height: number): Frame {
  return { width, height, data: new Uint8ClampedArray(4 * width * height) };
}
