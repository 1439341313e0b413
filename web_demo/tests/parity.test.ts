/** The page's landmarks, frame by frame, against the Python runtime's for the same pixels. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Roi, TrackResult } from "@atpn/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openSession, type Session, waitForState } from "./support/browser.js";
import {
  type Clip,
  decodeClip,
  makeWebcam,
  type ReferenceFrame,
  reference,
} from "./support/python.js";
import { PageServer, readFrame } from "./support/server.js";

const FRAME_RATE_HZ = 25;
const CAMERA_FRAMES = 60;
const INT8_FRAMES = 60;
const INT8_TOLERANCE = 0.01; // of the region's side
const TOLERANCE_PX = 1;
const BITS = 8; // of a frame's number in the webcam's picture, see tools/make_webcam.py
const SQUARE = 16;

interface PlainFace {
  readonly roi: Roi;
  readonly trackId: number;
  readonly source: string;
  readonly presence: number;
  readonly landmarks: readonly number[];
  readonly rawLandmarks: readonly number[];
  readonly anglesDeg: readonly number[];
}

interface PlainFrame {
  readonly timestampS: number;
  readonly faces: readonly PlainFace[];
  readonly lostIds: readonly number[];
  readonly detectorRan: boolean;
}

let server: PageServer;
let address = "";
let folder = "";
let clip: Clip;
let session: Session;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "atpn-parity-"));
  clip = decodeClip("synthetic_solo", folder);
  server = new PageServer();
  const frameBytes = 4 * clip.width * clip.height;
  server.frames = { file: clip.file, frameBytes };
  server.recorded = { file: join(folder, "recorded.rgba"), frameBytes };
  address = await server.start();
  session = await openSession({ webcam: makeWebcam("synthetic_solo", folder) });
});

afterAll(async () => {
  await session.browser.close();
  await server.stop();
  rmSync(folder, { recursive: true });
});

async function load({ page } = session): Promise<void> {
  await page.goto(`${address}?hook`);
  await waitForState(page, "ready");
  // In the page: results as plain numbers, as the reference has them.
  await page.evaluate(() => {
    Object.assign(window, {
      plainFrame: ({ timestampS, faces, lostIds, detectorRan }: TrackResult) => ({
        timestampS,
        lostIds,
        detectorRan,
        faces: faces.map(({ trackId, source, presence, landmarks, rawLandmarks, pose, roi }) => ({
          roi,
          trackId,
          source,
          presence,
          landmarks: [...landmarks],
          rawLandmarks: [...rawLandmarks],
          anglesDeg: [pose.yawDeg, pose.pitchDeg, pose.rollDeg],
        })),
      }),
    });
  });
}

/** Largest differences over all frames; what is no number must be equal. */
function compare(got: readonly PlainFrame[], expected: readonly ReferenceFrame[]): string {
  const worst = { landmarks: 0, rawLandmarks: 0, anglesDeg: 0, presence: 0 };
  expect(got.length).toBe(expected.length);
  got.forEach((frame, index) => {
    const wanted = expected[index];
    const where = `frame ${index}`;
    expect(frame.faces.map(nameOf), where).toEqual(wanted?.faces.map(nameOf));
    expect([frame.lostIds, frame.detectorRan], where).toEqual([
      wanted?.lostIds,
      wanted?.detectorRan,
    ]);
    frame.faces.forEach((face, place) => {
      const other = wanted?.faces[place];
      worst.landmarks = Math.max(worst.landmarks, farthest(face.landmarks, other?.landmarks));
      worst.rawLandmarks = Math.max(
        worst.rawLandmarks,
        farthest(face.rawLandmarks, other?.rawLandmarks),
      );
      worst.anglesDeg = Math.max(worst.anglesDeg, farthest(face.anglesDeg, other?.anglesDeg));
      worst.presence = Math.max(worst.presence, farthest([face.presence], [other?.presence ?? 9]));
    });
  });
  expect(worst.landmarks).toBeLessThan(TOLERANCE_PX);
  expect(worst.rawLandmarks).toBeLessThan(TOLERANCE_PX);
  expect(worst.anglesDeg).toBeLessThan(1);
  expect(worst.presence).toBeLessThan(0.01);
  return (
    `${got.length} frames, ${got.filter((frame) => frame.faces.length > 0).length} with a face: ` +
    `landmarks ${worst.landmarks.toFixed(4)} px, unsmoothed ${worst.rawLandmarks.toFixed(4)} px, ` +
    `angles ${worst.anglesDeg.toFixed(4)} degrees, presence ${worst.presence.toFixed(5)}`
  );
}

function nameOf({ trackId, source }: { trackId: number; source: string }): string {
  return `${trackId} ${source}`;
}

function farthest(a: readonly number[], b: readonly number[] | undefined): number {
  expect(a.length).toBe(b?.length);
  return Math.max(...a.map((value, index) => Math.abs(value - (b?.[index] ?? Number.NaN))));
}

describe("against Python", () => {
  test("every frame of the clip, handed in: found, lost, found again", async () => {
    await load();
    const got = await handIn(clip.frames);
    const report = compare(got, reference(clip, timesOf(clip.frames)));
    process.stdout.write(`handed in: ${report}\n`);
    const counts = got.map((frame) => frame.faces.length);
    expect(counts.includes(0) && counts[0] === 1 && counts[counts.length - 1] === 1).toBe(true);
  });

  test("the camera: the same frames, the same landmarks", async () => {
    await load();
    const recording = session.page.evaluate(async (count) => {
      const { plainFrame } = window as unknown as { plainFrame: (result: unknown) => PlainFrame };
      let index = 0;
      const recorded = await window.atpnHook?.record(count, async (pixels) => {
        await fetch(`recorded/${index}`, { method: "POST", body: pixels as BufferSource });
        index += 1;
      });
      return (recorded ?? []).map(({ timestampS, result }) => ({
        ...plainFrame(result),
        timestampS,
      }));
    }, CAMERA_FRAMES);
    await session.page.locator("#cover-start").click();
    const got = await recording;
    const frameBytes = 4 * clip.width * clip.height;
    const file = join(folder, "recorded.rgba");
    const pixels = got.map((_, index) => readFrame({ file, frameBytes }, index));

    // Each is a frame of the clip, in its order, the colours within what video coding takes away.
    const numbers = pixels.map(numberOf);
    const clipFile = { file: clip.file, frameBytes };
    numbers.forEach((number, index) => {
      const difference = meanDifference(pixels[index], readFrame(clipFile, number));
      expect(difference, `frame ${number}`).toBeLessThan(3);
    });
    const steps = numbers.slice(1).map((number, index) => {
      return (number - (numbers[index] ?? 0) + clip.frames) % clip.frames;
    });
    expect(Math.min(...steps)).toBeGreaterThan(0);

    const times = got.map((frame) => frame.timestampS);
    const report = compare(got, reference({ ...clip, file, frames: got.length }, times));
    process.stdout.write(`camera, from frame ${numbers[0] ?? -1}: ${report}\n`);
  });

  test("int8: looking at the same regions", async () => {
    // Integer kernels round differently from engine to engine. Over a sequence that moves the
    // regions, and the runs part; what one look gives is what can be compared, in face sizes.
    await load();
    const { page } = session;
    await page.locator('input[name="precision"][value="int8"]').check({ force: true });
    await page.waitForFunction(
      () => document.querySelector('input[value="int8"]:checked:enabled') !== null,
    );
    const got = await handIn(INT8_FRAMES);
    expect(got.every((frame) => frame.faces.length === 1)).toBe(true);
    const rois = got.map((frame) => frame.faces.map((face) => face.roi));
    const expected = reference(clip, timesOf(INT8_FRAMES), { precision: "int8", rois });
    const differences = got.map((frame, index) => {
      const face = frame.faces[0];
      const other = expected[index]?.faces[0];
      return farthest(face?.rawLandmarks ?? [], other?.rawLandmarks) / (face?.roi.size ?? 0);
    });
    const worst = Math.max(...differences);
    process.stdout.write(`int8: ${(100 * worst).toFixed(2)} % of the region's side\n`);
    expect(worst).toBeLessThan(INT8_TOLERANCE);
  });

  test("WebGPU, computed by the processor: measured, and the same landmarks", async (context) => {
    const gpu = await openSession({
      webcam: "none",
      args: ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"],
    });
    try {
      await load(gpu);
      const choice = gpu.page.locator('input[name="device"][value="gpu"]');
      if (await choice.isDisabled()) {
        context.skip("this Chromium has no software WebGPU");
      }
      await choice.check({ force: true });
      const note = gpu.page.locator("#device-note");
      await expect
        .poll(() => note.textContent(), { timeout: 240_000, interval: 1000 })
        .toMatch(/^Measured just now: .* on the GPU, .* on the CPU\. The .PU is faster here\.$/);
      const got = await handIn(2, gpu);
      const report = compare(got, reference(clip, timesOf(2)));
      process.stdout.write(`WebGPU: ${report}\n`);
    } finally {
      await gpu.browser.close();
    }
  });
});

/** Hand the first frames of the clip to the page. */
function handIn(count: number, { page } = session): Promise<PlainFrame[]> {
  return page.evaluate(
    async ({ count, width, rate }) => {
      const { plainFrame } = window as unknown as { plainFrame: (result: unknown) => PlainFrame };
      const frames: PlainFrame[] = [];
      for (let index = 0; index < count; index += 1) {
        const pixels = await (await fetch(`frames/${index}`)).arrayBuffer();
        frames.push(plainFrame(await window.atpnHook?.track(pixels, width, index / rate)));
      }
      return frames;
    },
    { count, width: clip.width, rate: FRAME_RATE_HZ },
  );
}

function timesOf(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index / FRAME_RATE_HZ);
}

/** The number in the lower left corner. */
function numberOf(pixels: Buffer): number {
  const row = clip.height - SQUARE / 2;
  return Array.from({ length: BITS }, (_, bit) => {
    const column = bit * SQUARE + SQUARE / 2;
    return (pixels[4 * (row * clip.width + column)] ?? 0) > 127 ? 1 << bit : 0;
  }).reduce((sum, bit) => sum + bit, 0);
}

/** Mean difference of red, green and blue, the corner with the number left out; 0..255. */
function meanDifference(a: Buffer | undefined, b: Buffer): number {
  const last = 4 * clip.width * (clip.height - SQUARE);
  let sum = 0;
  for (let index = 0; index < last; index += 1) {
    sum += Math.abs((a?.[index] ?? 0) - (b[index] ?? 0));
  }
  return sum / (0.75 * last); // alpha is equal
}
