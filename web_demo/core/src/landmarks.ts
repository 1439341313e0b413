/**
 * The 98-point landmark scheme of WFLW. "Right" and "left" are the subject's: the right eye is on
 * the left side of the picture.
 *
 * Source: Wu et al., "Look at Boundary", CVPR 2018.
 */

export const NUM_LANDMARKS = 98;

/** A polyline through landmarks `first` to `last`, both included. */
export interface FacePart {
  readonly name: string;
  readonly first: number;
  readonly last: number;
  readonly closed: boolean;
}

/** Polylines that draw a face. */
export const FACE_PARTS: readonly FacePart[] = [
  { name: "contour", first: 0, last: 32, closed: false }, // right ear, chin, left ear
  { name: "right eyebrow", first: 33, last: 41, closed: true },
  { name: "left eyebrow", first: 42, last: 50, closed: true },
  { name: "nose bridge", first: 51, last: 54, closed: false },
  { name: "nose base", first: 55, last: 59, closed: false },
  { name: "right eye", first: 60, last: 67, closed: true },
  { name: "left eye", first: 68, last: 75, closed: true },
  { name: "outer lips", first: 76, last: 87, closed: true },
  { name: "inner lips", first: 88, last: 95, closed: true },
];

export const NOSE_TIP = 54;
export const RIGHT_PUPIL = 96;
export const LEFT_PUPIL = 97;

/** Landmark i of a mirrored picture is landmark MIRROR[i] of the original. */
export const MIRROR: readonly number[] = [
  ...Array.from({ length: 33 }, (_, index) => 32 - index), // contour
  ...[46, 45, 44, 43, 42, 50, 49, 48, 47], // right brow <- left brow
  ...[37, 36, 35, 34, 33, 41, 40, 39, 38], // left brow <- right brow
  ...[51, 52, 53, 54], // nose bridge: on the axis
  ...[59, 58, 57, 56, 55], // nose base
  ...[72, 71, 70, 69, 68, 75, 74, 73], // right eye <- left eye
  ...[64, 63, 62, 61, 60, 67, 66, 65], // left eye <- right eye
  ...[82, 81, 80, 79, 78, 77, 76, 87, 86, 85, 84, 83], // outer lips
  ...[92, 91, 90, 89, 88, 95, 94, 93], // inner lips
  ...[97, 96], // pupils
];
