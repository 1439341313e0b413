/** What page and worker say to each other. */

import type { Frame, TrackResult } from "@atpn/core";

export type Precision = "float32" | "int8";
export type Device = "cpu" | "gpu";

/** Which files run, and on what. */
export interface EngineChoice {
  readonly precision: Precision;
  readonly device: Device;
}

/** What the worker found and loaded. */
export interface EngineReport extends EngineChoice {
  /** Whether the browser offers a GPU to the worker. */
  readonly gpuName: string | null;
  /** Median time of the alignment network alone, milliseconds, by device; null: not measured. */
  readonly networkMs: Readonly<Record<Device, number>> | null;
  /** Terms of the weights, out of the manifest. */
  readonly license: string;
}

/** Bytes of the download so far. */
export interface LoadProgress {
  readonly loadedBytes: number;
  readonly totalBytes: number;
}

export type Call =
  | {
      readonly kind: "load";
      readonly choice: EngineChoice;
      /** Address of the page's folder. */
      readonly baseUrl: string;
    }
  | { readonly kind: "configure"; readonly maxFaces: number }
  | { readonly kind: "track"; readonly frame: Frame; readonly timestampS: number }
  | { readonly kind: "detect"; readonly frame: Frame };

/** What a call gives back. */
export interface Answers {
  readonly load: EngineReport;
  readonly configure: null;
  readonly track: TrackResult;
  readonly detect: TrackResult;
}

export interface Request {
  readonly id: number;
  readonly call: Call;
}

export type Reply =
  | { readonly kind: "progress"; readonly progress: LoadProgress }
  | { readonly kind: "done"; readonly id: number; readonly answer: Answers[Call["kind"]] }
  | { readonly kind: "failed"; readonly id: number; readonly message: string };
