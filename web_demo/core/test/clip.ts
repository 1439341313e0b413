/** The shipped networks on the bundled clip, with onnxruntime-web in Node.js. */

import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as ort from "onnxruntime-web";
import * as core from "../src/index.js";
import { numberOf, objectOf, rows, textOf } from "./fields.js";
import { type JsonObject, REPOSITORY } from "./golden.js";

const CLIP_FRAMES = 40; // as many as the golden vector holds
const MODELS = join(REPOSITORY, "models");

interface ClipFrames {
  readonly width: number;
  readonly height: number;
  readonly frames: number;
}

/** One of the project's networks in onnxruntime-web, its file verified. */
class OrtBackend implements core.Backend {
  readonly spec: core.ModelSpec;
  readonly #session: ort.InferenceSession;

  private constructor(spec: core.ModelSpec, session: ort.InferenceSession) {
    this.spec = spec;
    this.#session = session;
  }

  static async load(model: string, sha256: string): Promise<OrtBackend> {
    const document: unknown = JSON.parse(readFileSync(join(MODELS, "manifest.json"), "utf-8"));
    const manifest = core.readManifest(document);
    const { artifact, spec } = core.chooseArtifact(manifest, model, "onnx", "float32");
    if (artifact.sha256 !== sha256) {
      throw new Error(`the golden vector is of other weights than ${artifact.path}: write it anew`);
    }
    const bytes = new Uint8Array(readFileSync(join(MODELS, artifact.path)));
    await core.verifyArtifact(artifact, bytes);
    ort.env.wasm.numThreads = 1;
    return new OrtBackend(spec, await ort.InferenceSession.create(bytes));
  }

  async run(input: Float32Array): Promise<core.Tensors> {
    const { name, shape } = this.spec.input;
    const results = await this.#session.run({
      [name]: new ort.Tensor("float32", input, shape),
    });
    const named = Object.entries(results).map(([key, value]) => [key, value.data]);
    return Object.fromEntries(named) as core.Tensors;
  }
}

/** Reader of the stage end_to_end. */
export async function runClip(given: JsonObject): Promise<object> {
  const folder = mkdtempSync(join(tmpdir(), "atpn-clip-"));
  try {
    const file = join(folder, "frames.rgba");
    const clip = decodeClip(join(REPOSITORY, textOf(given.clip)), file);
    return { frames: await trackClip(given, clip, file) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function trackClip(given: JsonObject, clip: ClipFrames, file: string): Promise<object[]> {
  const atpn = await OrtBackend.load("atpn", textOf(objectOf(given.atpn).sha256));
  const detector = await OrtBackend.load("detector", textOf(objectOf(given.detector).sha256));
  const tracker = new core.FaceTracker(
    new core.CropNetwork(atpn),
    new core.NetworkDetector(detector),
    { smoothing: null },
  );
  const data = new Uint8Array(4 * clip.width * clip.height);
  const frames: object[] = [];
  const source = openSync(file, "r");
  for (let index = 0; index < clip.frames; index += 1) {
    readSync(source, data, 0, data.length, null);
    const frame = { width: clip.width, height: clip.height, data };
    const result = await tracker.track(frame, index / numberOf(given.frames_per_second));
    frames.push(
      result.faces.map((face) => ({
        track_id: face.trackId,
        source: face.source,
        presence: face.presence,
        rotation: rows(face.pose.rotation, 3),
        landmarks: rows(face.landmarks, 2),
      })),
    );
  }
  closeSync(source);
  return frames;
}

function decodeClip(clip: string, output: string): ClipFrames {
  const script = join(REPOSITORY, "web_demo", "tools", "clip_frames.py");
  const python = process.env.ATPN_PYTHON ?? "python3";
  const text = execFileSync(python, [script, clip, output, "--frames", String(CLIP_FRAMES)]);
  return JSON.parse(text.toString()) as ClipFrames;
}
