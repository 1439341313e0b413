/** ONNX Runtime for the web as a backend of the tracker. */

import { type Backend, type ModelSpec, ModelMismatchError, type Tensors } from "@atpn/core";
import type * as Ort from "onnxruntime-web/wasm";
import type { Device } from "../protocol.js";

/** The parts of the engine that are used; the same in its builds for CPU and GPU. */
export type Engine = Pick<typeof Ort, "InferenceSession" | "Tensor" | "env">;

/** One network in one session. */
export class OrtBackend implements Backend {
  readonly spec: ModelSpec;
  readonly #engine: Engine;
  readonly #session: Ort.InferenceSession;

  private constructor(engine: Engine, session: Ort.InferenceSession, spec: ModelSpec) {
    this.spec = spec;
    this.#engine = engine;
    this.#session = session;
  }

  /**
   * Load a network.
   *
   * @param bytes - of the .onnx file, already verified: what was hashed is what runs.
   * @throws ModelMismatchError - the engine cannot load it, or its names are not those of `spec`.
   */
  static async load(
    engine: Engine,
    device: Device,
    bytes: Uint8Array,
    spec: ModelSpec,
  ): Promise<OrtBackend> {
    const executionProviders = [device === "gpu" ? "webgpu" : "wasm"];
    const session = await engine.InferenceSession.create(bytes, { executionProviders }).catch(
      (error: unknown) => {
        throw new ModelMismatchError(`expected the model ${spec.name} to load: ${String(error)}`);
      },
    );
    const wanted = spec.outputs.map((output) => output.name);
    if (
      session.inputNames.join() !== spec.input.name ||
      !wanted.every((name) => session.outputNames.includes(name))
    ) {
      throw new ModelMismatchError(
        `expected ${spec.input.name} -> ${wanted.join(", ")} in the model ${spec.name}, ` +
          `got ${session.inputNames.join(", ")} -> ${session.outputNames.join(", ")}`,
      );
    }
    return new OrtBackend(engine, session, spec);
  }

  /** See `Backend`. */
  async run(input: Float32Array): Promise<Tensors> {
    const { name, shape } = this.spec.input;
    const tensor = new this.#engine.Tensor("float32", input, shape);
    const results = await this.#session.run({ [name]: tensor });
    const tensors: Record<string, Float32Array> = {};
    for (const [output, value] of Object.entries(results)) {
      if (!(value.data instanceof Float32Array)) {
        throw new ModelMismatchError(`expected float32 as output ${output}, got ${value.type}`);
      }
      tensors[output] = value.data;
      value.dispose();
    }
    return tensors;
  }

  /** Free the session. */
  async close(): Promise<void> {
    await this.#session.release();
  }
}
