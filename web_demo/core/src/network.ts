/** Engines and networks: what an app plugs in. */

import { cropTensor } from "./crop.js";
import { ModelMismatchError } from "./errors.js";
import type { ModelSpec } from "./manifest.js";
import { nowMs } from "./platform.js";
import type { Frame, Roi } from "./types.js";

/** Values of a network's outputs by name, each flat. */
export type Tensors = Readonly<Record<string, Float32Array>>;

/** One network in an inference engine: a thin wrapper that the app writes. */
export interface Backend {
  /** What the manifest says about the network. */
  readonly spec: ModelSpec;

  /**
   * Run the network once.
   *
   * @param input - of `spec.input.shape`.
   * @returns the outputs of `spec.outputs` by name.
   */
  run(input: Float32Array): Promise<Tensors>;
}

/** What the alignment network says of one region. */
export interface AlignmentOutputs {
  /** x and y of each landmark, crop units. */
  readonly landmarks: Float32Array;
  /** Yaw, pitch, roll, radians. */
  readonly pose: Float32Array;
  /** The probability of a face, last. */
  readonly presence: Float32Array;
  /** How long making the crop took, milliseconds, if known. */
  readonly cropMs?: number;
}

/** Looks for a face in a region of a frame. */
export interface AlignmentNetwork {
  /**
   * @param mirrored - the network is to see the mirror image of the region.
   */
  run(frame: Frame, roi: Roi, mirrored: boolean): Promise<AlignmentOutputs>;
}

/** The project's alignment network on the crop of a region. */
export class CropNetwork implements AlignmentNetwork {
  readonly #backend: Backend;

  /**
   * @throws ModelMismatchError - the network has no landmarks, pose and presence.
   */
  constructor(backend: Backend) {
    requireOutputs(backend.spec, ["landmarks", "pose", "presence"]);
    this.#backend = backend;
  }

  /** See `AlignmentNetwork`. */
  async run(frame: Frame, roi: Roi, mirrored: boolean): Promise<AlignmentOutputs> {
    const startMs = nowMs();
    const tensor = cropTensor(frame, roi, this.#backend.spec.input, mirrored);
    const cropMs = nowMs() - startMs;
    const { spec } = this.#backend;
    const outputs = await this.#backend.run(tensor);
    return {
      landmarks: outputOf(outputs, "landmarks", spec),
      pose: outputOf(outputs, "pose", spec),
      presence: outputOf(outputs, "presence", spec),
      cropMs,
    };
  }
}

/**
 * Check that a network's manifest entry declares outputs.
 *
 * @throws ModelMismatchError - one is missing.
 */
export function requireOutputs(spec: ModelSpec, names: readonly string[]): void {
  const declared = spec.outputs.map((output) => output.name);
  if (!names.every((name) => declared.includes(name))) {
    throw new ModelMismatchError(
      `expected outputs ${names.join(", ")} of model ${spec.name}, got ${declared.join(", ")}`,
    );
  }
}

/**
 * One output of a run, its size checked.
 *
 * @throws ModelMismatchError - it is missing or not of the declared size.
 */
export function outputOf(outputs: Tensors, name: string, spec: ModelSpec): Float32Array {
  const values = outputs[name];
  const shape = spec.outputs.find((output) => output.name === name)?.shape ?? [];
  const size = shape.reduce((product, length) => product * length, 1);
  if (values?.length !== size) {
    throw new ModelMismatchError(
      `expected ${size} numbers for output ${name} of model ${spec.name}, ` +
        `got ${values?.length ?? "none"}`,
    );
  }
  return values;
}
