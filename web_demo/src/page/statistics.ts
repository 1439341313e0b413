/** Times of the last frames by stage. */

/** Stages of a frame on the page, milliseconds. */
export interface FrameTimes {
  /** Copying the frame out of the video. */
  readonly captureMs: number;
  /** Only while there is a face to find; 0 otherwise. */
  readonly detectorMs: number;
  readonly cropMs: number;
  readonly networkMs: number;
  /** Decoding, gate, smoothing, association. */
  readonly trackerMs: number;
  /** To the worker and back. */
  readonly messageMs: number;
  /** Painting the last frame. */
  readonly paintMs: number;
}

const WINDOW_FRAMES = 60;
const STAGES = [
  "captureMs",
  "detectorMs",
  "cropMs",
  "networkMs",
  "trackerMs",
  "messageMs",
  "paintMs",
] as const satisfies readonly (keyof FrameTimes)[];

/** Medians over the last 60 frames. */
export class FrameStatistics {
  readonly #times: FrameTimes[] = [];
  readonly #stamps: number[] = []; // milliseconds

  /** Forget the frames. */
  reset(): void {
    this.#times.length = 0;
    this.#stamps.length = 0;
  }

  /**
   * Count a frame.
   *
   * @param stampMs - when it was done.
   */
  add(times: FrameTimes, stampMs: number): void {
    this.#times.push(times);
    this.#stamps.push(stampMs);
    if (this.#times.length > WINDOW_FRAMES) {
      this.#times.shift();
      this.#stamps.shift();
    }
  }

  /** Median by stage; of the detector over the frames in which it was asked. */
  medians(): FrameTimes {
    const medians: Record<keyof FrameTimes, number> = { ...NO_TIMES };
    for (const stage of STAGES) {
      const values = this.#times.map((times) => times[stage]);
      medians[stage] = median(stage === "detectorMs" ? values.filter((ms) => ms > 0) : values);
    }
    return medians;
  }

  /** Median of all stages of a frame together, milliseconds. */
  totalMs(): number {
    return median(this.#times.map((times) => STAGES.reduce((sum, stage) => sum + times[stage], 0)));
  }

  /** Frames per second; null for fewer than two. */
  rateHz(): number | null {
    const first = this.#stamps[0];
    const last = this.#stamps[this.#stamps.length - 1];
    if (first === undefined || last === undefined || last <= first) {
      return null;
    }
    return (1000 * (this.#stamps.length - 1)) / (last - first);
  }
}

const NO_TIMES: FrameTimes = {
  captureMs: 0,
  detectorMs: 0,
  cropMs: 0,
  networkMs: 0,
  trackerMs: 0,
  messageMs: 0,
  paintMs: 0,
};

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
