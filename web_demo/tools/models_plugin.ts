/** Puts the models that the page runs beside it, each checked against the manifest. */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";
import { chooseArtifact, readManifest } from "../core/src/index.js";

const MODELS = new URL("../../models/", import.meta.url);
const USED = [
  ["atpn", "float32"],
  ["atpn", "int8"],
  ["detector", "float32"],
  ["detector", "int8"],
] as const;

/** Vite plugin: emits models/ into the build, and serves it while developing. */
export function models(): Plugin {
  return {
    name: "atpn-models",
    generateBundle() {
      for (const [name, source] of readModels()) {
        this.emitFile({ type: "asset", fileName: `models/${name}`, source });
      }
    },
    configureServer(server) {
      const files = readModels();
      server.middlewares.use("/models", (request, response, next) => {
        const file = files.get((request.url ?? "").slice(1).split("?")[0] ?? "");
        if (file === undefined) {
          next();
        } else {
          response.end(file);
        }
      });
    },
  };
}

/**
 * The manifest, the licence and the files by name.
 *
 * @throws Error - a file is not the one that the manifest describes.
 */
export function readModels(): Map<string, Buffer> {
  const manifestFile = read("manifest.json");
  const document: unknown = JSON.parse(manifestFile.toString("utf-8"));
  const manifest = readManifest(document);
  const files = new Map([
    ["manifest.json", manifestFile],
    ["LICENSE", read("LICENSE")],
  ]);
  for (const [model, precision] of USED) {
    const { artifact } = chooseArtifact(manifest, model, "onnx", precision);
    const bytes = read(artifact.path);
    const digest = createHash("sha256").update(bytes).digest("hex");
    if (digest !== artifact.sha256) {
      throw new Error(`expected SHA-256 ${artifact.sha256} of ${artifact.path}, got ${digest}`);
    }
    files.set(artifact.path, bytes);
  }
  return files;
}

function read(name: string): Buffer {
  return readFileSync(fileURLToPath(new URL(name, MODELS)));
}
