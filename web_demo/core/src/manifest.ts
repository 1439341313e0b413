/**
 * models/manifest.json: which models there are, what they take and give, and proof of their files.
 *
 * The reader is strict where it reads: a missing or mistyped field is an error that names it. What
 * a browser does not need (metrics, parity, tools) it leaves alone.
 */

import { ChecksumError, ManifestError, ModelNotFoundError } from "./errors.js";
import { sha256 } from "./platform.js";

export const SCHEMA_VERSION = 1;

export type Layout = "NCHW" | "NHWC";

/** The picture that a network takes: square, RGB, float32, values 0..255. */
export interface InputSpec {
  readonly name: string;
  /** [1, 3, S, S] or [1, S, S, 3], as `layout` says. */
  readonly shape: readonly number[];
  readonly layout: Layout;
  /** Pixels on a side. */
  readonly resolution: number;
}

/** One result of a network. */
export interface OutputSpec {
  readonly name: string;
  readonly shape: readonly number[];
  /** What the numbers are, in words. */
  readonly meaning: string;
}

/** What a backend has to know of a network. */
export interface ModelSpec {
  /** The model's name, for messages. */
  readonly name: string;
  readonly input: InputSpec;
  readonly outputs: readonly OutputSpec[];
}

/** One file of a model. */
export interface Artifact {
  /** The engine it is for: "onnx", "tflite", "coreml". */
  readonly runtime: string;
  /** "float32", "float16", "int8", ... */
  readonly precision: string;
  /** Relative to the manifest. */
  readonly path: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  /** The file's own input where it differs from the model's. */
  readonly input: InputSpec | null;
}

/** One network in all its files. */
export interface Model extends ModelSpec {
  /** Of the weights. */
  readonly version: string;
  readonly task: "alignment" | "detection";
  /** Number of weights. */
  readonly parameters: number;
  /** Multiply-adds of one run. */
  readonly macs: number;
  /** Of the weights. */
  readonly license: string;
  readonly artifacts: readonly Artifact[];
}

export interface Manifest {
  readonly models: readonly Model[];
}

/** One file of a model, with what an engine has to know of it. */
export interface Choice {
  readonly artifact: Artifact;
  readonly spec: ModelSpec;
}

/**
 * Read a manifest.
 *
 * @param document - the parsed JSON.
 * @throws ManifestError - it breaks the schema.
 */
export function readManifest(document: unknown): Manifest {
  const root = new Fields(document, "the manifest");
  const version = root.integer("schema_version");
  if (version !== SCHEMA_VERSION) {
    throw new ManifestError(
      `expected schema_version ${SCHEMA_VERSION} in the manifest, got ${version}: ` +
        "it was made for another release",
    );
  }
  const models = root.each("models", readModel);
  requireDistinct(
    "models",
    models.map((model) => model.name),
  );
  return { models };
}

/**
 * Choose a file.
 *
 * @param model - its name.
 * @throws ModelNotFoundError - the manifest has none.
 */
export function chooseArtifact(
  manifest: Manifest,
  model: string,
  runtime: string,
  precision: string,
): Choice {
  const found = manifest.models.find((one) => one.name === model);
  if (found === undefined) {
    const names = manifest.models.map((one) => one.name).join(", ");
    throw new ModelNotFoundError(`expected a model out of ${names}, got ${model}`);
  }
  const artifact = found.artifacts.find(
    (one) => one.runtime === runtime && one.precision === precision,
  );
  if (artifact === undefined) {
    const kinds = found.artifacts.map((one) => `${one.runtime} ${one.precision}`).join(", ");
    throw new ModelNotFoundError(
      `expected a file of model ${model} out of ${kinds}, got ${runtime} ${precision}`,
    );
  }
  const { name, input, outputs } = found;
  return { artifact, spec: { name, input: artifact.input ?? input, outputs } };
}

/**
 * Prove that a file is the one described.
 *
 * @throws ChecksumError - its size or SHA-256 differs, or nothing here can compute one.
 */
export async function verifyArtifact(artifact: Artifact, bytes: Uint8Array): Promise<void> {
  const { path, sizeBytes } = artifact;
  if (bytes.length !== sizeBytes) {
    throw new ChecksumError(`expected ${sizeBytes} bytes in ${path}, got ${bytes.length}`);
  }
  const digest = await sha256(bytes);
  if (digest === null) {
    throw new ChecksumError(
      `expected WebCrypto to check ${path}, there is none: browsers have it on https:// and localhost`,
    );
  }
  if (digest !== artifact.sha256) {
    throw new ChecksumError(`expected SHA-256 ${artifact.sha256} of ${path}, got ${digest}`);
  }
}

function readModel(value: unknown, where: string): Model {
  const fields = new Fields(value, where);
  const model: Model = {
    name: fields.text("name"),
    version: fields.text("version"),
    task: fields.choice("task", ["alignment", "detection"]),
    input: readInput(fields.take("input"), `${where}.input`),
    outputs: fields.each("outputs", readOutput),
    parameters: fields.integer("parameters"),
    macs: fields.integer("macs"),
    license: fields.text("license"),
    artifacts: fields.each("artifacts", readArtifact),
  };
  requireDistinct(
    `${where}.outputs`,
    model.outputs.map((output) => output.name),
  );
  requireDistinct(
    `${where}.artifacts`,
    model.artifacts.map(({ runtime, precision }) => `${runtime} ${precision}`),
  );
  return model;
}

function readInput(value: unknown, where: string): InputSpec {
  const fields = new Fields(value, where);
  const name = fields.text("name");
  const shape = fields.shape("shape");
  const layout = fields.choice("layout", ["NCHW", "NHWC"]);
  fields.choice("color", ["RGB"]);
  fields.choice("dtype", ["float32"]);
  const range = JSON.stringify(fields.take("range"));
  if (range !== "[0,255]") {
    // Normalisation is part of the graph, so that no caller can get it wrong.
    throw new ManifestError(`expected [0, 255] at ${where}.range, got ${range}`);
  }
  const resolution = shape[2] ?? 0;
  const wanted =
    layout === "NCHW" ? [1, 3, resolution, resolution] : [1, resolution, resolution, 3];
  if (shape.join() !== wanted.join()) {
    const square = layout === "NCHW" ? "[1, 3, S, S]" : "[1, S, S, 3]";
    throw new ManifestError(
      `expected ${square} for ${layout} at ${where}.shape, got [${shape.join(", ")}]`,
    );
  }
  return { name, shape, layout, resolution };
}

function readOutput(value: unknown, where: string): OutputSpec {
  const fields = new Fields(value, where);
  return {
    name: fields.text("name"),
    shape: fields.shape("shape"),
    meaning: fields.text("meaning"),
  };
}

function readArtifact(value: unknown, where: string): Artifact {
  const fields = new Fields(value, where);
  const input = fields.optional("input");
  const artifact: Artifact = {
    runtime: fields.text("runtime"),
    precision: fields.text("precision"),
    path: fields.text("path"),
    sha256: fields.text("sha256"),
    sizeBytes: fields.integer("bytes"),
    input: input === undefined ? null : readInput(input, `${where}.input`),
  };
  const { path } = artifact;
  if (path.startsWith("/") || path.split("/").includes("..") || /[\\:]/.test(path)) {
    throw new ManifestError(
      `expected a relative path inside the manifest's folder at ${where}.path, got ${path}`,
    );
  }
  if (!/^[0-9a-f]{64}$/.test(artifact.sha256)) {
    throw new ManifestError(
      `expected 64 lower-case hexadecimal digits at ${where}.sha256, got ${artifact.sha256}`,
    );
  }
  return artifact;
}

function requireDistinct(where: string, names: readonly string[]): void {
  if (new Set(names).size !== names.length) {
    throw new ManifestError(`expected each of ${where} once, got ${names.join(", ")}`);
  }
}

/** Takes the fields of one JSON object. */
class Fields {
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #where: string;

  constructor(value: unknown, where: string) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new ManifestError(`expected an object as ${where}, got ${show(value)}`);
    }
    this.#fields = { ...value };
    this.#where = where;
  }

  optional(key: string): unknown {
    return this.#fields[key];
  }

  take(key: string): unknown {
    const value = this.#fields[key];
    if (value === undefined) {
      throw new ManifestError(`expected the field ${key} in ${this.#where}, it is missing`);
    }
    return value;
  }

  text(key: string): string {
    const value = this.take(key);
    if (typeof value !== "string" || value === "") {
      throw this.#wrong("a text", key, value);
    }
    return value;
  }

  choice<T extends string>(key: string, choices: readonly T[]): T {
    const value = this.take(key);
    const found = choices.find((choice) => choice === value);
    if (found === undefined) {
      throw this.#wrong(choices.join(" or "), key, value);
    }
    return found;
  }

  integer(key: string): number {
    const value = this.take(key);
    if (!isCount(value)) {
      throw this.#wrong("a whole number from 0", key, value);
    }
    return value;
  }

  shape(key: string): readonly number[] {
    const value = this.take(key);
    if (!Array.isArray(value) || value.length === 0) {
      throw this.#wrong("a list of whole numbers from 1", key, value);
    }
    return value.map((size: unknown) => {
      if (!isCount(size) || size === 0) {
        throw this.#wrong("a list of whole numbers from 1", key, value);
      }
      return size;
    });
  }

  each<T>(key: string, read: (value: unknown, where: string) => T): readonly T[] {
    const value = this.take(key);
    if (!Array.isArray(value)) {
      throw this.#wrong("a list", key, value);
    }
    return value.map((item: unknown, index) => read(item, `${this.#where}: ${key}[${index}]`));
  }

  #wrong(wanted: string, key: string, value: unknown): ManifestError {
    return new ManifestError(`expected ${wanted} at ${this.#where}.${key}, got ${show(value)}`);
  }
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0;
}

function show(value: unknown): string {
  const text = value === undefined ? "nothing" : JSON.stringify(value);
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}
