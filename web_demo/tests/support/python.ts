/** The Python side of the tests: decodes the clip, makes the webcam, gives the reference. */

import { type ExecFileSyncOptions, execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Roi } from "@atpn/core";

export const REPOSITORY = fileURLToPath(new URL("../../../", import.meta.url));
const TOOLS = join(REPOSITORY, "web_demo", "tools");
const PYTHON = process.env.ATPN_PYTHON ?? "python3";

export interface Clip {
  /** Raw RGBA frames, one after the other. */
  readonly file: string;
  readonly width: number;
  readonly height: number;
  readonly frames: number;
}

// What Python says on stderr is part of the error where it fails, and of no interest otherwise.
const QUIET: ExecFileSyncOptions = { maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "pipe"] };

/** A face as Python gives it. */
export interface ReferenceFace {
  readonly trackId: number;
  readonly source: string;
  readonly presence: number;
  readonly landmarks: readonly number[];
  readonly rawLandmarks: readonly number[];
  /** Yaw, pitch, roll. */
  readonly anglesDeg: readonly number[];
}

/** One frame as Python gives it. */
export interface ReferenceFrame {
  readonly faces: readonly ReferenceFace[];
  readonly lostIds: readonly number[];
  readonly detectorRan: boolean;
}

/** Decode a bundled clip into a folder. */
export function decodeClip(name: string, folder: string): Clip {
  const file = join(folder, `${name}.rgba`);
  const clip = join(REPOSITORY, "assets", "clips", `${name}.mp4`);
  const text = run("clip_frames.py", [clip, file]);
  return { file, ...(JSON.parse(text) as Omit<Clip, "file">) };
}

/** Make the file that Chromium plays as a webcam; `options` are those of tools/make_webcam.py. */
export function makeWebcam(name: string, folder: string, options: readonly string[] = []): string {
  const file = join(folder, `${name}.y4m`);
  run("make_webcam.py", [join(REPOSITORY, "assets", "clips", `${name}.mp4`), file, ...options]);
  return file;
}

/** Options of the reference. */
export interface ReferenceOptions {
  readonly precision?: string;
  /** Regions per frame to look at, instead of tracking. */
  readonly rois?: readonly (readonly Roi[])[];
}

/** What the Python runtime gives for the first frames of a file, by their times. */
export function reference(
  clip: Clip,
  timestampsS: readonly number[],
  options: ReferenceOptions = {},
): ReferenceFrame[] {
  const times = `${clip.file}.json`;
  writeFileSync(times, JSON.stringify(timestampsS));
  const regions: string[] = [];
  if (options.rois !== undefined) {
    const file = `${clip.file}.rois.json`;
    writeFileSync(file, JSON.stringify(options.rois));
    regions.push(`--rois=${file}`);
  }
  const text = run("reference.py", [
    clip.file,
    times,
    `--width=${clip.width}`,
    `--height=${clip.height}`,
    `--precision=${options.precision ?? "float32"}`,
    ...regions,
  ]);
  return JSON.parse(text) as ReferenceFrame[];
}

/** Run Python code of a test's own, with OpenCV at hand. */
export function python(code: string, args: readonly string[]): string {
  return execFileSync(PYTHON, ["-c", code, ...args], QUIET).toString();
}

function run(script: string, args: readonly string[]): string {
  return execFileSync(PYTHON, [join(TOOLS, script), ...args], QUIET).toString();
}
