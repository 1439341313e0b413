/**
 * For the tests, and only with `?hook` in the address: hand in frames, see the camera's. The page's
 * own pipeline does the work.
 */

import type { TrackResult } from "@atpn/core";
import type { App } from "./app.js";

/** One frame that the camera gave. */
interface Recorded {
  readonly timestampS: number;
  readonly result: TrackResult;
}

/** What tests find as `window.atpnHook`. */
export interface Hook {
  /** What the page is doing. */
  state(): string;
  /** Track given pixels (RGBA, row by row). */
  track(pixels: ArrayBuffer, width: number, timestampS: number): Promise<TrackResult>;
  /** Record the next frames of the camera; pixels go to `send`, one frame after the other. */
  record(count: number, send: (pixels: Uint8ClampedArray) => Promise<void>): Promise<Recorded[]>;
}

declare global {
  interface Window {
    atpnHook?: Hook;
  }
}

/** Offer the hook. */
export function installHook(app: App): void {
  window.atpnHook = {
    state: () => app.state.name,
    track: (pixels, width, timestampS) =>
      app.processGiven(new ImageData(new Uint8ClampedArray(pixels), width), timestampS),
    record: (count, send) => record(app, count, send),
  };
}

async function record(
  app: App,
  count: number,
  send: (pixels: Uint8ClampedArray) => Promise<void>,
): Promise<Recorded[]> {
  const recorded: Recorded[] = [];
  const frames: ImageData[] = [];
  await new Promise<void>((resolve) => {
    app.observer = (frame, timestampS, result) => {
      frames.push(frame);
      recorded.push({ timestampS, result });
      if (recorded.length === count) {
        app.observer = null;
        resolve();
      }
    };
  });
  for (const frame of frames) {
    await send(frame.data);
  }
  return recorded;
}
