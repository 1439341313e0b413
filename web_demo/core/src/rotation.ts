/** Head rotations. Pure functions. */

import type { HeadPose, Rotation } from "./types.js";

/** Axis times angle, radians. */
export type RotationVector = readonly [number, number, number];

const SMALLEST_TURN = 1e-5; // sine of an angle: below it a rotation has no axis to speak of
const DEGREES = 180 / Math.PI;

/** The product a b. */
export function multiply(a: Rotation, b: Rotation): Rotation {
  const [a0, a1, a2, a3, a4, a5, a6, a7, a8] = a;
  const [b0, b1, b2, b3, b4, b5, b6, b7, b8] = b;
  // prettier-ignore
  return [
    a0 * b0 + a1 * b3 + a2 * b6, a0 * b1 + a1 * b4 + a2 * b7, a0 * b2 + a1 * b5 + a2 * b8,
    a3 * b0 + a4 * b3 + a5 * b6, a3 * b1 + a4 * b4 + a5 * b7, a3 * b2 + a4 * b5 + a5 * b8,
    a6 * b0 + a7 * b3 + a8 * b6, a6 * b1 + a7 * b4 + a8 * b7, a6 * b2 + a7 * b5 + a8 * b8,
  ];
}

/** The inverse of a rotation. */
export function transpose(m: Rotation): Rotation {
  return [m[0], m[3], m[6], m[1], m[4], m[7], m[2], m[5], m[8]];
}

/** Head rotation from angles in radians: Rz(-roll) Rx(-pitch) Ry(-yaw). */
export function rotationFromEuler(yaw: number, pitch: number, roll: number): Rotation {
  const [cy, sy] = [Math.cos(-yaw), Math.sin(-yaw)];
  const [cp, sp] = [Math.cos(-pitch), Math.sin(-pitch)];
  const [cr, sr] = [Math.cos(-roll), Math.sin(-roll)];
  const aroundY: Rotation = [cy, 0, sy, 0, 1, 0, -sy, 0, cy];
  const aroundX: Rotation = [1, 0, 0, 0, cp, -sp, 0, sp, cp];
  const aroundZ: Rotation = [cr, -sr, 0, sr, cr, 0, 0, 0, 1];
  return multiply(multiply(aroundZ, aroundX), aroundY);
}

/** The pose with a rotation: its angles beside it. */
export function headPose(rotation: Rotation): HeadPose {
  const sine = Math.min(1, Math.max(-1, rotation[7]));
  return {
    rotation,
    yawDeg: -Math.atan2(-rotation[6], rotation[8]) * DEGREES,
    pitchDeg: -Math.asin(sine) * DEGREES,
    rollDeg: -Math.atan2(-rotation[1], rotation[4]) * DEGREES,
  };
}

/** Head rotation after the picture was turned clockwise by an angle in radians. */
export function rotateInImage(rotation: Rotation, rotationRad: number): Rotation {
  return multiply(rotationFromEuler(0, 0, rotationRad), rotation);
}

/** Head rotation in the mirrored picture: yaw and roll change sign. */
export function mirrorRotation(m: Rotation): Rotation {
  return [m[0], -m[1], -m[2], -m[3], m[4], m[5], -m[6], m[7], m[8]];
}

/** Axis and angle of a rotation of less than half a turn; zero for hardly any. */
export function vectorFromRotation(m: Rotation): RotationVector {
  const x = (m[7] - m[5]) / 2;
  const y = (m[2] - m[6]) / 2;
  const z = (m[3] - m[1]) / 2;
  const sine = Math.hypot(x, y, z);
  const cosine = Math.min(1, Math.max(-1, (m[0] + m[4] + m[8] - 1) / 2));
  if (sine < SMALLEST_TURN) {
    return cosine > 0 ? [0, 0, 0] : halfTurnVector(m);
  }
  const factor = Math.atan2(sine, cosine) / sine;
  return [x * factor, y * factor, z * factor];
}

/** Rotation by an axis times an angle in radians (Rodrigues' formula). */
export function rotationFromVector([vx, vy, vz]: RotationVector): Rotation {
  const angle = Math.hypot(vx, vy, vz);
  if (angle < Number.EPSILON) {
    return [1, 0, 0, 0, 1, 0, 0, 0, 1];
  }
  const [x, y, z] = [vx / angle, vy / angle, vz / angle];
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  const d = 1 - c;
  // prettier-ignore
  return [
    c + d * x * x, d * x * y - s * z, d * x * z + s * y,
    d * x * y + s * z, c + d * y * y, d * y * z - s * x,
    d * x * z - s * y, d * y * z + s * x, c + d * z * z,
  ];
}

/** Axis and angle of a half turn, whose axis stands in the diagonal up to signs. */
function halfTurnVector(m: Rotation): RotationVector {
  const x = Math.sqrt(Math.max(0, (m[0] + 1) / 2));
  const y = Math.sqrt(Math.max(0, (m[4] + 1) / 2)) * (m[1] < 0 ? -1 : 1);
  const size = Math.sqrt(Math.max(0, (m[8] + 1) / 2));
  const signed = m[2] < 0 ? -size : size;
  // Where x is next to nothing, the signs of m[1] and m[2] are noise, and that of m[5] is not.
  const flipped = x < Math.abs(y) && x < size && m[5] > 0 !== y * signed > 0;
  const z = flipped ? -signed : signed;
  const factor = Math.PI / Math.hypot(x, y, z);
  return [x * factor, y * factor, z * factor];
}
