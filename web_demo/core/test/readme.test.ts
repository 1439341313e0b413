/** The package as others take it: built, alone, with the code of the README. */

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { REPOSITORY } from "./golden.js";

const WEB_DEMO = join(REPOSITORY, "web_demo");
const PYTHON = process.env.ATPN_PYTHON ?? "python3";

const USE = `
import { readFileSync } from "node:fs";
import { makeTracker } from "./snippet.mjs";
const [models, frame] = process.argv.slice(2);
const manifest = JSON.parse(readFileSync(models + "/manifest.json", "utf-8"));
const tracker = await makeTracker(manifest, (path) => readFileSync(models + "/" + path), {});
const data = new Uint8Array(readFileSync(frame));
const { faces } = await tracker.track({ width: 640, height: 480, data }, 0);
const { track } = Object.getPrototypeOf(tracker);
console.log(JSON.stringify([typeof track, faces.length, faces[0].landmarks.length]));
`;

test("the README's code runs with the built package", () => {
  const folder = mkdtempSync(join(tmpdir(), "atpn-readme-"));
  try {
    const scope = join(folder, "node_modules", "@atpn", "core");
    mkdirSync(scope, { recursive: true });
    const tsc = join(WEB_DEMO, "node_modules", ".bin", "tsc");
    execFileSync(tsc, ["-p", join(WEB_DEMO, "core"), "--outDir", join(scope, "dist")]);
    writeFileSync(join(scope, "package.json"), readFileSync(join(WEB_DEMO, "core/package.json")));
    for (const name of ["onnxruntime-web", "onnxruntime-common"]) {
      symlinkSync(join(WEB_DEMO, "node_modules", name), join(folder, "node_modules", name));
    }
    const readme = readFileSync(join(WEB_DEMO, "README.md"), "utf-8");
    const snippet = /```js\n(import[\s\S]*?)```/.exec(readme)?.[1] ?? "";
    writeFileSync(join(folder, "snippet.mjs"), snippet);
    writeFileSync(join(folder, "use.mjs"), USE);
    const frame = join(folder, "frame.rgba");
    const clip = join(REPOSITORY, "assets", "clips", "synthetic_solo.mp4");
    const decode = join(WEB_DEMO, "tools", "clip_frames.py");
    execFileSync(PYTHON, [decode, clip, frame, "--frames", "1"]);
    const models = join(REPOSITORY, "models");
    const printed = execFileSync("node", [join(folder, "use.mjs"), models, frame]);
    expect(JSON.parse(printed.toString())).toEqual(["function", 1, 196]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
