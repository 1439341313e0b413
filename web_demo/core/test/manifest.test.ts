/** The reader of models/manifest.json: reads the real one, names what is wrong with others. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  type Artifact,
  ChecksumError,
  chooseArtifact,
  ManifestError,
  ModelNotFoundError,
  readManifest,
  verifyArtifact,
} from "../src/index.js";
import { REPOSITORY } from "./golden.js";

const TEXT = readFileSync(join(REPOSITORY, "models", "manifest.json"), "utf-8");

/** The manifest with another value in one place; undefined takes the field away. */
function changed(path: readonly (string | number)[], value: unknown): unknown {
  const document: unknown = JSON.parse(TEXT);
  let place = document as Record<string | number, unknown>;
  for (const key of path.slice(0, -1)) {
    place = place[key] as Record<string | number, unknown>;
  }
  place[path.at(-1) ?? ""] = value;
  return document;
}

describe("readManifest", () => {
  test("reads the project's own", () => {
    const manifest = readManifest(JSON.parse(TEXT));
    const { artifact, spec } = chooseArtifact(manifest, "atpn", "onnx", "float32");
    expect(artifact.path).toMatch(/\.onnx$/);
    expect(spec.input.shape).toEqual([1, 3, spec.input.resolution, spec.input.resolution]);
    expect(spec.outputs.map((output) => output.name)).toEqual(["landmarks", "pose", "presence"]);
  });

  test("the input of an artifact of its own layout comes with it", () => {
    const { spec } = chooseArtifact(readManifest(JSON.parse(TEXT)), "atpn", "tflite", "float16");
    expect(spec.input.layout).toBe("NHWC");
  });

  test.each<[string, readonly (string | number)[], unknown, string]>([
    ["another schema", ["schema_version"], 9, "schema_version 1"],
    ["no models", ["models"], undefined, "expected the field models"],
    [
      "a range of 0..1",
      ["models", 0, "input", "range"],
      [0, 1],
      "expected [0, 255] at the manifest: models[0].input.range, got [0,1]",
    ],
    [
      "an input that is not square",
      ["models", 0, "input", "shape"],
      [1, 3, 4, 5],
      "expected [1, 3, S, S] for NCHW",
    ],
    [
      "a path that leaves the folder",
      ["models", 0, "artifacts", 0, "path"],
      "../x.onnx",
      "expected a relative path inside the manifest's folder",
    ],
    [
      "a short hash",
      ["models", 0, "artifacts", 0, "sha256"],
      "abc",
      "expected 64 lower-case hexadecimal digits",
    ],
    [
      "a size of letters",
      ["models", 0, "artifacts", 0, "bytes"],
      "many",
      "expected a whole number from 0",
    ],
    ["the same model twice", ["models", 1, "name"], "atpn", "expected each of models once"],
  ])("refuses %s", (_name, path, value, message) => {
    const read = (): unknown => readManifest(changed(path, value));
    expect(read).toThrow(ManifestError);
    expect(read).toThrow(message);
  });

  test.each([null, [], "text", 3])("refuses %j", (document) => {
    expect(() => readManifest(document)).toThrow("expected an object as the manifest");
  });
});

test("a model or file that is not there is named, with what is", () => {
  const manifest = readManifest(JSON.parse(TEXT));
  expect(() => chooseArtifact(manifest, "eyes", "onnx", "int8")).toThrow(ModelNotFoundError);
  expect(() => chooseArtifact(manifest, "atpn", "onnx", "int4")).toThrow(/onnx float32, onnx int8/);
});

describe("verifyArtifact", () => {
  const abc = Uint8Array.of(97, 98, 99);
  const artifact: Artifact = {
    runtime: "onnx",
    precision: "float32",
    path: "abc.onnx",
    sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", // FIPS 180-2, B.1
    sizeBytes: 3,
    input: null,
  };

  test("passes the file described", async () => {
    await expect(verifyArtifact(artifact, abc)).resolves.toBeUndefined();
  });

  test("refuses other bytes, and other sizes", async () => {
    const other = verifyArtifact(artifact, Uint8Array.of(97, 98, 100));
    await expect(other).rejects.toThrow(ChecksumError);
    await expect(verifyArtifact(artifact, new Uint8Array(4))).rejects.toThrow("expected 3 bytes");
  });
});
