/** The page's side of the tracking worker: calls as promises. */

import type { Frame, TrackResult } from "@atpn/core";
import type {
  Answers,
  Call,
  EngineChoice,
  EngineReport,
  LoadProgress,
  Reply,
  Request,
} from "../protocol.js";

interface Waiting {
  readonly resolve: (answer: Answers[Call["kind"]]) => void;
  readonly reject: (error: Error) => void;
}

/** Runs networks and tracker in a worker; calls are answered in their order. */
export class TrackingClient {
  /** Is told how much of a download is here. */
  onProgress: (progress: LoadProgress) => void = () => undefined;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;

  constructor() {
    this.#worker = new Worker(new URL("../worker/tracking_worker.ts", import.meta.url), {
      type: "module",
    });
    this.#worker.addEventListener("message", ({ data }: MessageEvent<Reply>) => {
      this.#receive(data);
    });
    this.#worker.addEventListener("error", (event) => {
      this.#fail(new Error(event.message || "expected the worker to start, it did not"));
    });
  }

  /**
   * Load both networks.
   *
   * @throws Error - they cannot be had, are not the ones described, or do not start.
   */
  load(choice: EngineChoice): Promise<EngineReport> {
    return this.#ask({ kind: "load", choice, baseUrl: document.baseURI });
  }

  /** Start a new tracker: at most so many faces. */
  async configure(maxFaces: number): Promise<void> {
    await this.#ask({ kind: "configure", maxFaces });
  }

  /**
   * Follow the faces into the next frame. The frame's bytes go to the worker and are gone here.
   *
   * @param timestampS - time of the frame, seconds.
   */
  track(frame: Frame, timestampS: number): Promise<TrackResult> {
    return this.#ask({ kind: "track", frame: plain(frame), timestampS }, [frame.data.buffer]);
  }

  /** Find the faces of one picture. Its bytes go to the worker and are gone here. */
  detect(frame: Frame): Promise<TrackResult> {
    return this.#ask({ kind: "detect", frame: plain(frame) }, [frame.data.buffer]);
  }

  #ask<K extends Call["kind"]>(
    call: Extract<Call, { kind: K }>,
    transfer: Transferable[] = [],
  ): Promise<Answers[K]> {
    const id = this.#nextId;
    this.#nextId += 1;
    return new Promise<Answers[Call["kind"]]>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      const request: Request = { id, call };
      this.#worker.postMessage(request, transfer);
    }) as Promise<Answers[K]>;
  }

  #receive(reply: Reply): void {
    if (reply.kind === "progress") {
      this.onProgress(reply.progress);
      return;
    }
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if (reply.kind === "done") {
      waiting?.resolve(reply.answer);
    } else {
      waiting?.reject(new Error(reply.message));
    }
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.values()) {
      reject(error);
    }
    this.#waiting.clear();
  }
}

/** An ImageData as a plain object: it could not be transferred otherwise. */
function plain({
  width,
  height,
  data,
}: Frame): Frame & { readonly data: { buffer: ArrayBufferLike } } {
  return { width, height, data };
}
