/**
 * The one-euro filter for landmarks and head poses: calm at rest, quick in motion.
 *
 * Source: Casiez, Roussel, Vogel, "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy
 * Input in Interactive Systems", CHI 2012. Two differences: speed is in face sizes per second, so a
 * near and a far face are smoothed alike; and it is the speed of the point, not of x and y apart.
 * Head poses are filtered as rotations: angles jump where they wrap around.
 */

import type { SmoothingConfig } from "./config.js";
import {
  multiply,
  type RotationVector,
  rotationFromVector,
  transpose,
  vectorFromRotation,
} from "./rotation.js";
import type { Landmarks, Rotation } from "./types.js";

const MIN_STEP_S = 1e-6; // two frames cannot be closer; a speed over less could overflow

/** The state of one track; time is in seconds, so the frame rate may vary. */
export class OneEuroFilter {
  readonly #config: SmoothingConfig;
  #points: Float64Array | null = null; // the last result
  #velocity = new Float64Array(0); // pixels / s, low-passed
  #timestampS = Number.NEGATIVE_INFINITY;

  /** Start without history: the first points come back as they are. */
  constructor(config: SmoothingConfig) {
    this.#config = config;
  }

  /**
   * Filter the next points. A timestamp that is not above the last one starts the filter anew, and
   * the points come back as they are.
   *
   * @param points - frame pixels.
   * @param timestampS - when they were seen, seconds.
   * @param faceSize - the unit of length, pixels, above 0.
   */
  smooth(points: Landmarks, timestampS: number, faceSize: number): Landmarks {
    const stepS = timestampS - this.#timestampS;
    this.#timestampS = timestampS;
    const last = this.#points;
    if (last === null || !(stepS >= MIN_STEP_S)) {
      this.#points = Float64Array.from(points);
      this.#velocity = new Float64Array(points.length);
      return points.slice();
    }
    const velocity = this.#velocity;
    const follow = weight(this.#config.derivativeCutoffHz, stepS);
    for (let x = 0; x < points.length; x += 2) {
      const y = x + 1;
      const [lastX, lastY] = [last[x] as number, last[y] as number];
      const [dx, dy] = [(points[x] as number) - lastX, (points[y] as number) - lastY];
      const speedX = (velocity[x] as number) + follow * (dx / stepS - (velocity[x] as number));
      const speedY = (velocity[y] as number) + follow * (dy / stepS - (velocity[y] as number));
      const speed = Math.hypot(speedX, speedY) / faceSize;
      const part = weight(this.#config.minCutoffHz + this.#config.beta * speed, stepS);
      velocity[x] = speedX;
      velocity[y] = speedY;
      last[x] = lastX + part * dx;
      last[y] = lastY + part * dy;
    }
    return Float32Array.from(last);
  }
}

/** The same for the rotation of one head; its speed is the angle of the turn per second. */
export class RotationFilter {
  readonly #config: SmoothingConfig;
  #rotation: Rotation | null = null; // the last result
  #velocity: RotationVector = [0, 0, 0]; // axis times radians / s, low-passed
  #timestampS = Number.NEGATIVE_INFINITY;

  /** Start without history: the first rotation comes back as it is. */
  constructor(config: SmoothingConfig) {
    this.#config = config;
  }

  /**
   * Filter the next rotation. A timestamp that is not above the last one starts the filter anew.
   *
   * @param timestampS - when it was seen, seconds.
   */
  smooth(rotation: Rotation, timestampS: number): Rotation {
    const stepS = timestampS - this.#timestampS;
    this.#timestampS = timestampS;
    if (this.#rotation === null || !(stepS >= MIN_STEP_S)) {
      this.#rotation = rotation;
      this.#velocity = [0, 0, 0];
      return rotation;
    }
    const [x, y, z] = vectorFromRotation(multiply(rotation, transpose(this.#rotation)));
    const follow = weight(this.#config.derivativeCutoffHz, stepS);
    const [vx, vy, vz] = this.#velocity;
    this.#velocity = [
      vx + follow * (x / stepS - vx),
      vy + follow * (y / stepS - vy),
      vz + follow * (z / stepS - vz),
    ];
    const speed = Math.hypot(...this.#velocity);
    const part = weight(this.#config.poseMinCutoffHz + this.#config.poseBeta * speed, stepS);
    const turn = rotationFromVector([x * part, y * part, z * part]);
    this.#rotation = multiply(turn, this.#rotation);
    return this.#rotation;
  }
}

/** Share of the new value in a first-order low-pass: 1 / (1 + tau / step). */
function weight(cutoffHz: number, stepS: number): number {
  const tauS = 1 / (2 * Math.PI * cutoffHz);
  return 1 / (1 + tauS / stepS);
}
