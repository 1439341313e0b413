/** Tells the service worker which files the build has. */

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import type { Plugin } from "vite";

const PLACE = '"__PRECACHE__"';
const LEFT_OUT = [
  /asyncify.*\.wasm$/, // the engine for the GPU: large, and kept when it is chosen
  /^sw\.js$/,
  /\.map$/,
];

/** Vite plugin: after the build, writes the list of its files into sw.js. */
export function precache(): Plugin {
  let folder = "";
  return {
    name: "atpn-precache",
    apply: "build",
    configResolved(config) {
      folder = join(config.root, config.build.outDir);
    },
    closeBundle() {
      const worker = join(folder, "sw.js");
      if (existsSync(worker)) {
        writeFileSync(worker, withList(readFileSync(worker, "utf-8"), folder));
      }
    },
  };
}

function withList(code: string, folder: string): string {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/"))
    .filter((name) => !LEFT_OUT.some((pattern) => pattern.test(name)))
    .sort();
  const hash = createHash("sha256");
  for (const name of files) {
    hash.update(name).update(readFileSync(join(folder, name)));
  }
  const version = hash.digest("hex").slice(0, 16);
  const addresses = files.map((name) => (name === "index.html" ? "./" : name));
  const list = JSON.stringify(JSON.stringify({ version, files: addresses }));
  const filled = code.replaceAll(/(["'`])__PRECACHE__\1/g, () => list);
  if (filled === code) {
    throw new Error(`expected ${PLACE} in the service worker, found none`);
  }
  return filled;
}
