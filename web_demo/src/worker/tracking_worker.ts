/** The worker: networks and tracker, one call after the other. */

import { CropNetwork, FaceTracker, type Frame, NetworkDetector } from "@atpn/core";
import type { Answers, Call, EngineChoice, EngineReport, Reply, Request } from "../protocol.js";
import { EngineLoader, type Networks } from "./engine.js";

declare const self: DedicatedWorkerGlobalScope;

const loader = new EngineLoader((progress) => {
  reply({ kind: "progress", progress });
});

const BLANK: Frame = { width: 640, height: 480, data: new Uint8ClampedArray(4 * 640 * 480) };

let networks: Networks | null = null;
let tracker: FaceTracker | null = null;
let maxFaces = 1;
let lastCall: Promise<void> = Promise.resolve();

self.addEventListener("message", ({ data }: MessageEvent<Request>) => {
  lastCall = lastCall.then(() => answer(data));
});

async function answer({ id, call }: Request): Promise<void> {
  try {
    reply({ kind: "done", id, answer: await perform(call) });
  } catch (error) {
    reply({
      kind: "failed",
      id,
      message: error instanceof Error ? error.message : String(error),
    });
  }
}

async function perform(call: Call): Promise<Answers[Call["kind"]]> {
  switch (call.kind) {
    case "load":
      return load(call.choice, call.baseUrl);
    case "configure":
      maxFaces = call.maxFaces;
      makeTracker();
      return null;
    case "track":
      return requireTracker().track(call.frame, call.timestampS);
    case "detect":
      return requireTracker().detect(call.frame);
  }
}

/** What ran before keeps running where the new networks do not load. */
async function load(choice: EngineChoice, baseUrl: string): Promise<EngineReport> {
  const before = networks;
  networks = await loader.load(choice, baseUrl, before);
  makeTracker();
  // The first run of each is slow: not in front of a face.
  await requireTracker().detect(BLANK);
  await networks.alignment.run(new Float32Array(sizeOf(networks.alignment.spec.input.shape)));
  await before?.alignment.close();
  await before?.detector.close();
  return networks.report;
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

function makeTracker(): void {
  if (networks !== null) {
    const { alignment, detector } = networks;
    tracker = new FaceTracker(new CropNetwork(alignment), new NetworkDetector(detector), {
      maxFaces,
    });
  }
}

function requireTracker(): FaceTracker {
  if (tracker === null) {
    throw new Error("expected the networks to be loaded, they are not yet");
  }
  return tracker;
}

function reply(message: Reply): void {
  self.postMessage(message);
}
