/** Loads the engine and the networks; measures them where there is a choice. */

import {
  type Choice,
  chooseArtifact,
  type Manifest,
  readManifest,
  verifyArtifact,
} from "@atpn/core";
import cpuWasmUrl from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import gpuWasmUrl from "onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url";
import type { Device, EngineChoice, EngineReport, LoadProgress } from "../protocol.js";
import { download, downloadJson, ProgressMeter } from "./download.js";
import { type Engine, OrtBackend } from "./ort_backend.js";

const RUNTIME = "onnx"; // of the manifest's files
const COMPARISON_RUNS = 30;
const COMPARISON_MS = 1000;
const WARM_UP_RUNS = 5; // of a comparison
const WASM = {
  cpu: { url: cpuWasmUrl, bytes: __CPU_WASM_BYTES__ },
  gpu: { url: gpuWasmUrl, bytes: __GPU_WASM_BYTES__ },
} as const;

/** Both networks, ready to run. */
export interface Networks {
  readonly alignment: OrtBackend;
  readonly detector: OrtBackend;
  readonly report: EngineReport;
}

interface Files {
  readonly wasm: ArrayBuffer | null; // null: the engine is there already
  readonly alignment: Uint8Array;
  readonly detector: Uint8Array;
}

/** Keeps the engines, each of which can start once, and loads networks into them. */
export class EngineLoader {
  readonly #report: (progress: LoadProgress) => void;
  readonly #engines = new Map<Device, Engine>();
  #manifest: Manifest | null = null;

  /**
   * @param report - is told how much has been downloaded.
   */
  constructor(report: (progress: LoadProgress) => void) {
    this.#report = report;
  }

  /**
   * Load both networks.
   *
   * @param baseUrl - address of the page's folder.
   * @param current - what runs now, to compare with where the device changes.
   * @throws AtpnError - a file is not the one that the manifest describes, or does not load.
   * @throws Error - a file cannot be had, or the engine does not start.
   */
  async load(choice: EngineChoice, baseUrl: string, current: Networks | null): Promise<Networks> {
    const folder = new URL("models/", baseUrl).href;
    this.#manifest ??= readManifest(await downloadJson(`${folder}manifest.json`));
    const manifest = this.#manifest;
    const alignment = chooseArtifact(manifest, "atpn", RUNTIME, choice.precision);
    const detector = chooseArtifact(manifest, "detector", RUNTIME, choice.precision);
    const files = await this.#download(choice.device, folder, alignment, detector);
    const engine = await this.#start(choice.device, files.wasm);
    const load = (bytes: Uint8Array, spec: Choice["spec"]): Promise<OrtBackend> =>
      OrtBackend.load(engine, choice.device, bytes, spec);
    const loaded = {
      alignment: await load(files.alignment, alignment.spec),
      detector: await load(files.detector, detector.spec),
    };
    const license = manifest.models[0]?.license ?? "";
    const gpuName = await findGpu();
    const networkMs = await compare(choice.device, loaded.alignment, current);
    return { ...loaded, report: { ...choice, gpuName, networkMs, license } };
  }

  async #download(
    device: Device,
    folder: string,
    alignment: Choice,
    detector: Choice,
  ): Promise<Files> {
    const missing = !this.#engines.has(device);
    const models = alignment.artifact.sizeBytes + detector.artifact.sizeBytes;
    const meter = new ProgressMeter(
      models + (missing ? WASM[device].bytes : 0),
      (loadedBytes, totalBytes) => {
        this.#report({ loadedBytes, totalBytes });
      },
    );
    const fetchModel = async ({ artifact }: Choice): Promise<Uint8Array> => {
      const bytes = await download(`${folder}${artifact.path}`, meter);
      await verifyArtifact(artifact, bytes);
      return bytes;
    };
    const [wasm, ...networks] = await Promise.all([
      missing ? download(WASM[device].url, meter) : null,
      fetchModel(alignment),
      fetchModel(detector),
    ]);
    return {
      wasm: wasm === null ? null : (wasm.buffer as ArrayBuffer),
      alignment: networks[0],
      detector: networks[1],
    };
  }

  async #start(device: Device, wasm: ArrayBuffer | null): Promise<Engine> {
    const started = this.#engines.get(device);
    if (started !== undefined) {
      return started;
    }
    const engine: Engine =
      device === "gpu"
        ? await import("onnxruntime-web/webgpu")
        : await import("onnxruntime-web/wasm");
    engine.env.logLevel = "error";
    engine.env.wasm.numThreads = 1; // more need special headers, and pay for larger networks only
    if (wasm !== null) {
      engine.env.wasm.wasmBinary = wasm;
    }
    this.#engines.set(device, engine);
    return engine;
  }
}

/** Time the network on the new device and on the one before; null where the device is the same. */
async function compare(
  device: Device,
  alignment: OrtBackend,
  current: Networks | null,
): Promise<EngineReport["networkMs"]> {
  if (current === null || current.report.device === device) {
    return null;
  }
  const [now, before] = [await timed(alignment), await timed(current.alignment)];
  return device === "gpu" ? { gpu: now, cpu: before } : { cpu: now, gpu: before };
}

/** Median time of a run, milliseconds; the first runs, which compile shaders, do not count. */
async function timed(backend: OrtBackend): Promise<number> {
  const size = backend.spec.input.shape.reduce((product, length) => product * length, 1);
  const input = new Float32Array(size).fill(127);
  const times: number[] = [];
  const endMs = performance.now() + COMPARISON_MS;
  while (times.length < 2 || (times.length < COMPARISON_RUNS && performance.now() < endMs)) {
    const startMs = performance.now();
    await backend.run(input);
    times.push(performance.now() - startMs);
  }
  const warm = times.slice(Math.min(WARM_UP_RUNS, times.length - 1)).sort((a, b) => a - b);
  return warm[Math.floor(warm.length / 2)] ?? 0;
}

/** Name of the GPU that WebGPU offers; null where there is none. */
async function findGpu(): Promise<string | null> {
  if (!("gpu" in navigator)) {
    return null;
  }
  try {
    const adapter = await navigator.gpu.requestAdapter();
    if (adapter === null) {
      return null;
    }
    const { vendor, architecture, description } = adapter.info;
    const name = description || [vendor, architecture].filter(Boolean).join(" ") || "a GPU";
    return adapter.info.isFallbackAdapter ? `${name} (computed by the processor)` : name;
  } catch {
    return null; // a browser that has WebGPU and refuses it
  }
}
