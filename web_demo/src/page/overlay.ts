/** Paints a frame with landmarks, head axes, box and label into the view. */

import { FACE_PARTS, type Face, LEFT_PUPIL, NOSE_TIP, RIGHT_PUPIL } from "@atpn/core";

/** What is painted. */
export interface OverlayOptions {
  readonly landmarks: boolean;
  readonly axes: boolean;
  readonly box: boolean;
  /** Show the mirror image of the frame. */
  readonly mirrored: boolean;
}

type Point = readonly [x: number, y: number];

// One per track, in turn: bright, and none of them the red, green or blue of an axis.
const TRACK_COLORS = ["#48dbe8", "#ffc43d", "#f484dc", "#c4e85c", "#ff965c", "#baa2ff"];
const DARK = "#181a20";
const FRONT_COLOR = "#e83030";
const LEFT_COLOR = "#34be46";
const UP_COLOR = "#346ef6";
const AXIS_LENGTH = 0.3; // of the region's side
const FONT = "600 {size}px system-ui, sans-serif";

/** Places of frame pixels in the view, device pixels. */
export class ViewTransform {
  /** Device pixels per frame pixel. */
  readonly scale: number;
  readonly #left: number;
  readonly #top: number;
  readonly #frameWidth: number;
  readonly #frameHeight: number;
  readonly #mirrored: boolean;

  /** Fit a frame into a view, centred. */
  constructor(
    frame: { readonly width: number; readonly height: number },
    view: { readonly width: number; readonly height: number },
    mirrored: boolean,
  ) {
    this.scale = Math.min(view.width / frame.width, view.height / frame.height);
    this.#left = (view.width - frame.width * this.scale) / 2;
    this.#top = (view.height - frame.height * this.scale) / 2;
    this.#frameWidth = frame.width;
    this.#frameHeight = frame.height;
    this.#mirrored = mirrored;
  }

  /** The place of a frame pixel, whose centre is at integers. */
  point(x: number, y: number): Point {
    const fromLeft = this.#mirrored ? this.#frameWidth - 0.5 - x : x + 0.5;
    return [this.#left + fromLeft * this.scale, this.#top + (y + 0.5) * this.scale];
  }

  /** Paint the frame itself. */
  paint(context: CanvasRenderingContext2D, frame: CanvasImageSource): void {
    context.save();
    const sign = this.#mirrored ? -1 : 1;
    const left = this.#mirrored ? this.#left + this.#frameWidth * this.scale : this.#left;
    context.setTransform(sign * this.scale, 0, 0, this.scale, left, this.#top);
    context.drawImage(frame, 0, 0, this.#frameWidth, this.#frameHeight);
    context.restore();
  }
}

/** Paint a frame and what was found in it; the view is painted over entirely. */
export function paintView(
  view: HTMLCanvasElement,
  frame: HTMLCanvasElement,
  faces: readonly Face[],
  options: OverlayOptions,
): void {
  const context = view.getContext("2d", { alpha: false });
  if (context === null) {
    return;
  }
  context.fillStyle = "#000";
  context.fillRect(0, 0, view.width, view.height);
  const transform = new ViewTransform(frame, view, options.mirrored);
  transform.paint(context, frame);
  context.lineCap = "round";
  context.lineJoin = "round";
  for (const face of faces) {
    paintFace(context, transform, face, options);
  }
}

/** Colour of a track; the same id always has the same one. */
export function trackColor(trackId: number): string {
  return TRACK_COLORS[Math.max(0, trackId) % TRACK_COLORS.length] ?? DARK;
}

function paintFace(
  context: CanvasRenderingContext2D,
  transform: ViewTransform,
  face: Face,
  options: OverlayOptions,
): void {
  const color = trackColor(face.trackId);
  const size = face.roi.size * transform.scale;
  if (options.box) {
    paintBox(context, transform, face, color);
  }
  if (options.landmarks) {
    paintLandmarks(context, transform, face, color, size);
  }
  if (options.axes) {
    paintAxes(context, transform, face, size);
  }
  if (options.box) {
    paintLabel(context, transform, face, color, size);
  }
}

function paintLandmarks(
  context: CanvasRenderingContext2D,
  transform: ViewTransform,
  face: Face,
  color: string,
  size: number,
): void {
  const points = Array.from({ length: face.landmarks.length / 2 }, (_, index) =>
    transform.point(face.landmarks[2 * index] as number, face.landmarks[2 * index + 1] as number),
  );
  context.globalAlpha = 0.65; // the face stays visible below its lines
  context.strokeStyle = color;
  context.lineWidth = Math.max(1, size * 0.0045);
  for (const { first, last, closed } of FACE_PARTS) {
    strokeLine(context, points.slice(first, last + 1), closed);
  }
  context.globalAlpha = 1;
  const radius = Math.max(0.8, size * 0.0052);
  points.forEach((point, index) => {
    const isPupil = index === RIGHT_PUPIL || index === LEFT_PUPIL;
    context.fillStyle = isPupil ? color : "#fff";
    fillDot(context, point, isPupil ? radius * 1.7 : radius);
  });
}

function paintAxes(
  context: CanvasRenderingContext2D,
  transform: ViewTransform,
  face: Face,
  size: number,
): void {
  const x = face.landmarks[2 * NOSE_TIP] as number;
  const y = face.landmarks[2 * NOSE_TIP + 1] as number;
  const length = AXIS_LENGTH * face.roi.size;
  const [leftX, upX, frontX, leftY, upY, frontY, leftZ, upZ, frontZ] = face.pose.rotation;
  // Columns of the rotation are the head's axes in the camera's: x right, y up, z to the camera.
  const axes = [
    {
      tip: transform.point(x + length * leftX, y - length * leftY),
      z: leftZ,
      color: LEFT_COLOR,
    },
    { tip: transform.point(x + length * upX, y - length * upY), z: upZ, color: UP_COLOR },
    {
      tip: transform.point(x + length * frontX, y - length * frontY),
      z: frontZ,
      color: FRONT_COLOR,
    },
  ];
  const start = transform.point(x, y);
  const width = Math.max(2, size * 0.011);
  for (const { tip, color } of axes.sort((a, b) => a.z - b.z)) {
    for (const [paint, grown] of [
      [DARK, width * 0.7],
      [color, 0],
    ] as const) {
      context.strokeStyle = paint;
      context.fillStyle = paint;
      context.lineWidth = width + grown;
      strokeLine(context, [start, tip], false);
      fillDot(context, tip, width * 1.15 + grown / 2);
    }
  }
}

function paintBox(
  context: CanvasRenderingContext2D,
  transform: ViewTransform,
  face: Face,
  color: string,
): void {
  const corners = boxCorners(transform, face);
  context.strokeStyle = color;
  context.lineWidth = Math.max(1.5, face.roi.size * transform.scale * 0.009);
  corners.forEach((corner, index) => {
    const arm = (other: Point): Point => [
      corner[0] + 0.13 * (other[0] - corner[0]),
      corner[1] + 0.13 * (other[1] - corner[1]),
    ];
    const before = corners[(index + 3) % 4] ?? corner;
    const after = corners[(index + 1) % 4] ?? corner;
    strokeLine(context, [arm(before), corner, arm(after)], false);
  });
}

function paintLabel(
  context: CanvasRenderingContext2D,
  transform: ViewTransform,
  face: Face,
  color: string,
  size: number,
): void {
  const { width, height } = context.canvas;
  const ratio = window.devicePixelRatio;
  const letters = Math.min(15 * ratio, Math.max(11 * ratio, size * 0.055));
  const percent = `${Math.round(100 * face.presence)} %`;
  const text = face.trackId >= 0 ? `#${face.trackId}  ${percent}` : percent;
  context.font = FONT.replace("{size}", letters.toFixed(1));
  const plateWidth = context.measureText(text).width + letters * 1.75;
  const plateHeight = letters * 1.65;
  const corners = boxCorners(transform, face);
  const wantedLeft = Math.min(...corners.map(([x]) => x));
  const wantedTop = Math.min(...corners.map(([, y]) => y)) - plateHeight - letters * 0.4;
  const left = Math.max(0, Math.min(wantedLeft, width - plateWidth));
  const top = Math.max(0, Math.min(wantedTop, height - plateHeight));
  context.fillStyle = "rgb(14 17 22 / 78%)";
  context.beginPath();
  context.roundRect(left, top, plateWidth, plateHeight, letters * 0.4);
  context.fill();
  context.fillStyle = color;
  fillDot(context, [left + letters * 0.7, top + plateHeight / 2], letters * 0.24);
  context.fillStyle = "#fff";
  context.textBaseline = "middle";
  context.fillText(text, left + letters * 1.3, top + plateHeight / 2 + letters * 0.04);
}

function boxCorners(transform: ViewTransform, { roi }: Face): Point[] {
  const cos = (roi.size / 2) * Math.cos(roi.rotationRad);
  const sin = (roi.size / 2) * Math.sin(roi.rotationRad);
  const signs = [
    [-1, -1],
    [1, -1],
    [1, 1],
    [-1, 1],
  ] as const;
  return signs.map(([x, y]) =>
    transform.point(roi.centerX + cos * x - sin * y, roi.centerY + sin * x + cos * y),
  );
}

function strokeLine(
  context: CanvasRenderingContext2D,
  points: readonly Point[],
  closed: boolean,
): void {
  context.beginPath();
  for (const [x, y] of points) {
    context.lineTo(x, y);
  }
  if (closed) {
    context.closePath();
  }
  context.stroke();
}

function fillDot(context: CanvasRenderingContext2D, [x, y]: Point, radius: number): void {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}
