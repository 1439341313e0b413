/** What a caller may rely on beyond the golden vectors. */

import { describe, expect, test } from "vitest";
import {
  type AlignmentNetwork,
  BusyError,
  ConfigError,
  CropNetwork,
  type Detector,
  FaceTracker,
  InvalidFrameError,
  letterboxTensor,
  makeDetectorConfig,
  makeRoi,
  makeTrackerConfig,
  ModelMismatchError,
  type ModelSpec,
  NetworkDetector,
  NUM_LANDMARKS,
  TRACKER_DEFAULTS,
} from "../src/index.js";
import { blackFrame, circle, World } from "./world.js";

const FRAME = blackFrame(640, 480);
const NOBODY: Detector = { detect: () => Promise.resolve([]) };

function worldWith(size: number): World {
  const world = new World();
  world.faces = [{ x: 300, y: 200, size, presence: 1 }];
  return world;
}

describe("FaceTracker", () => {
  test("refuses a frame while another is worked on, and goes on afterwards", async () => {
    const world = worldWith(100);
    const tracker = new FaceTracker(world, world);
    const first = tracker.track(FRAME, 0);
    await expect(tracker.track(FRAME, 1)).rejects.toThrow(BusyError);
    expect(() => {
      tracker.reset();
    }).toThrow("await it first");
    expect((await first).faces).toHaveLength(1);
    expect((await tracker.track(FRAME, 1)).faces[0]?.source).toBe("tracked");
  });

  test("goes on after a frame that failed, its tracks as they were", async () => {
    const world = worldWith(100);
    let fails = false;
    const network: AlignmentNetwork = {
      run: (frame, roi) =>
        fails ? Promise.reject(new Error("the engine is gone")) : world.run(frame, roi),
    };
    const tracker = new FaceTracker(network, world);
    await tracker.track(FRAME, 0);
    fails = true;
    await expect(tracker.track(FRAME, 0.1)).rejects.toThrow("the engine is gone");
    fails = false;
    const result = await tracker.track(FRAME, 0.2);
    expect(result.faces.map((face) => [face.trackId, face.source])).toEqual([[0, "tracked"]]);
  });

  test("reset() starts ids at 0 again", async () => {
    const world = worldWith(100);
    const tracker = new FaceTracker(world, world, { reattachS: 0 });
    await tracker.track(FRAME, 0);
    world.faces = [];
    expect((await tracker.track(FRAME, 1)).lostIds).toEqual([0]);
    world.faces = worldWith(100).faces;
    expect((await tracker.track(FRAME, 2)).faces[0]?.trackId).toBe(1);
    tracker.reset();
    expect((await tracker.track(FRAME, 3)).faces[0]?.trackId).toBe(0);
  });

  test("detect() leaves the tracks alone", async () => {
    const world = worldWith(100);
    const tracker = new FaceTracker(world, world);
    const found = await tracker.detect(FRAME);
    expect(found.faces.map((face) => face.trackId)).toEqual([-1]);
    expect((await tracker.track(FRAME)).faces[0]?.source).toBe("detected");
  });

  test("align() looks where it is told, gate or not", async () => {
    const world = worldWith(90);
    const tracker = new FaceTracker(world, NOBODY);
    const [hit, miss] = await tracker.align(FRAME, [makeRoi(300, 200, 150), makeRoi(50, 50, 60)]);
    expect([hit?.presence, miss?.presence]).toEqual([1, 0]);
    expect(hit?.landmarks[0]).toBeCloseTo(345, 3); // centre + half the size: the turn 0
  });

  test("two views average the crop and its mirror image", async () => {
    const seen: boolean[] = [];
    const network: AlignmentNetwork = {
      run: (_frame, _roi, mirrored) => {
        seen.push(mirrored);
        return Promise.resolve(circle(0.5, 0.5, 2 / 3, mirrored ? 0.9 : 0.7));
      },
    };
    const tracker = new FaceTracker(network, NOBODY, { views: 2 });
    const [face] = await tracker.align(FRAME, [makeRoi(300, 200, 150)]);
    expect(seen).toEqual([false, true]);
    expect(face?.presence).toBeCloseTo(0.8, 6);
  });

  test("numbers that are not finite lose the face and do not stop the tracker", async () => {
    const world = worldWith(100);
    const network: AlignmentNetwork = {
      run: () => Promise.resolve(circle(Number.NaN, 0.5, 0.5, 1)),
    };
    const tracker = new FaceTracker(network, world);
    expect((await tracker.track(FRAME)).faces).toEqual([]);
  });

  test.each([
    ["too few bytes", { width: 2, height: 2, data: new Uint8Array(15) }],
    ["no pixel", { width: 0, height: 2, data: new Uint8Array(0) }],
    ["half a pixel", { width: 0.5, height: 2, data: new Uint8Array(4) }],
  ])("refuses a frame of %s", async (_name, frame) => {
    const tracker = new FaceTracker(new World(), NOBODY);
    await expect(tracker.track(frame)).rejects.toThrow(InvalidFrameError);
  });

  test("refuses a time that is none", async () => {
    const tracker = new FaceTracker(new World(), NOBODY);
    await expect(tracker.track(FRAME, Number.NaN)).rejects.toThrow("finite seconds");
  });
});

describe("options", () => {
  test("the defaults are those of the Python runtime", () => {
    expect(makeTrackerConfig()).toEqual(TRACKER_DEFAULTS);
    const { presenceThreshold, reattachS, detectIntervalFrames } = TRACKER_DEFAULTS;
    expect([presenceThreshold, reattachS, detectIntervalFrames]).toEqual([0.7, 2, 10]);
  });

  test.each([
    [{ maxFaces: 0 }, "maxFaces to be a whole number from 1, got 0"],
    [{ presenceThreshold: 1.5 }, "presenceThreshold to be a finite number >= 0, <= 1, got 1.5"],
    [{ sameFaceIou: 0 }, "sameFaceIou to be a finite number > 0, <= 1, got 0"],
    [{ retryScale: Number.NaN }, "retryScale to be a finite number >= 1, got NaN"],
    [{ views: 3 }, "views to be 1 or 2, got 3"],
    [{ rotationDeg: 45 }, "rotationDeg to be 0 or 90 or 180 or 270, got 45"],
    [{ maxFace: 1 }, "got maxFace"],
  ])("refuses %j", (options, message) => {
    const make = (): unknown => makeTrackerConfig(options as never);
    expect(make).toThrow(ConfigError);
    expect(make).toThrow(message);
  });

  test("refuses a detector threshold above 1", () => {
    expect(() => makeDetectorConfig({ scoreThreshold: 2 })).toThrow(ConfigError);
  });
});

describe("networks", () => {
  const input = { name: "image", shape: [1, 3, 4, 4], layout: "NCHW", resolution: 4 } as const;
  const spec: ModelSpec = {
    name: "small",
    input,
    outputs: [
      { name: "landmarks", shape: [1, NUM_LANDMARKS, 2], meaning: "" },
      { name: "pose", shape: [1, 3], meaning: "" },
      { name: "presence", shape: [1, 1], meaning: "" },
    ],
  };

  test("an output of another size is refused", async () => {
    const backend = { spec, run: () => Promise.resolve({ landmarks: new Float32Array(4) }) };
    const network = new CropNetwork(backend);
    const look = network.run(FRAME, makeRoi(3, 3, 4), false);
    await expect(look).rejects.toThrow("expected 196 numbers for output landmarks");
  });

  test("a network without the outputs is refused when it is wrapped", () => {
    const backend = { spec, run: () => Promise.resolve({}) };
    expect(() => new NetworkDetector(backend)).toThrow(ModelMismatchError);
  });

  test("a turned letterbox: the frame's left column is the top row of the upright square", () => {
    const frame = blackFrame(4, 4);
    for (let row = 0; row < 4; row += 1) {
      frame.data[4 * (4 * row)] = 10 * (row + 1); // red of the left column, downwards
    }
    const red = (rotationDeg: 0 | 90 | 180 | 270): number[] => {
      const { tensor } = letterboxTensor(frame, input, rotationDeg);
      return [...tensor.subarray(0, 16)];
    };
    expect(red(0).filter((_, index) => index % 4 === 0)).toEqual([10, 20, 30, 40]);
    expect(red(90).slice(0, 4)).toEqual([40, 30, 20, 10]); // clockwise: the bottom comes to the left
    expect(red(180).filter((_, index) => index % 4 === 3)).toEqual([40, 30, 20, 10]);
    expect(red(270).slice(12)).toEqual([10, 20, 30, 40]);
  });

  test("a letterbox averages what falls into a pixel, in planes or interleaved", () => {
    const frame = { width: 8, height: 4, data: new Uint8ClampedArray(4 * 32) };
    frame.data.set([200, 100, 0, 255], 0); // one of the four pixels that make the first
    const planes = letterboxTensor(frame, input).tensor;
    expect([planes[4], planes[16 + 4], planes[32 + 4]]).toEqual([50, 25, 0]); // below the bar
    const nhwc = { ...input, shape: [1, 4, 4, 3], layout: "NHWC" } as const;
    const mixed = letterboxTensor(frame, nhwc).tensor;
    expect([...mixed.subarray(12, 15)]).toEqual([50, 25, 0]);
  });
});
