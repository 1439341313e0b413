/** What the page does: loads, opens sources, hands frames to the worker one at a time, shows. */

import { type Face, totalMs, type TrackResult } from "@atpn/core";
import type { Device, EngineChoice, Precision } from "../protocol.js";
import { FrameGrabber } from "./frame_grabber.js";
import { type OverlayOptions, paintView } from "./overlay.js";
import {
  countCameras,
  type Facing,
  openCamera,
  openPicture,
  openVideo,
  SourceError,
  type VideoSource,
} from "./sources.js";
import { FrameStatistics } from "./statistics.js";
import { TrackingClient } from "./tracking_client.js";
import { inputs, type State, type View } from "./view.js";

/** Is told of each frame of a video: its pixels (a copy), its time, what it gave. */
export type FrameObserver = (frame: ImageData, timestampS: number, result: TrackResult) => void;

const PROBLEM_TITLES: Readonly<Record<SourceError["kind"], string>> = {
  insecure: "No camera on this address",
  refused: "Camera refused",
  "no-camera": "No camera",
  "camera-in-use": "Camera not started",
  "wrong-file": "Wrong file",
};

/** The page's one controller. */
export class App {
  /** For tests: see each frame. */
  observer: FrameObserver | null = null;
  readonly #view: View;
  readonly #client = new TrackingClient();
  readonly #grabber = new FrameGrabber();
  readonly #statistics = new FrameStatistics();
  #choice: EngineChoice = { precision: "float32", device: "cpu" };
  #maxFaces = 1;
  #state: State = { name: "loading" };
  #source: VideoSource | null = null;
  #opening = 0; // counts sources that were asked for: only the last one counts
  #facing: Facing = "user";
  #mirrored = false;
  #faces: readonly Face[] = [];
  #hasFrame = false;
  #hadFace = false;
  #paintMs = 0;

  constructor(view: View) {
    this.#view = view;
    this.#client.onProgress = (progress) => {
      view.showProgress(progress);
    };
    this.#listen();
  }

  /** What the page is doing. */
  get state(): State {
    return this.#state;
  }

  /** Load the networks; a failure is shown. */
  async load(): Promise<void> {
    this.#show({ name: "loading" });
    try {
      this.#view.showEngine(await this.#client.load(this.#choice));
      this.#show({ name: "ready" });
    } catch (error) {
      this.#show({
        name: "problem",
        title: "The networks did not load",
        text: messageOf(error),
      });
    }
  }

  /**
   * Track one frame and show it.
   *
   * @param frame - its bytes go to the worker and are gone here.
   * @param captureMs - how long it took to copy it.
   */
  async processFrame(frame: ImageData, timestampS: number, captureMs = 0): Promise<TrackResult> {
    const copy = this.observer === null ? null : new ImageData(frame.data.slice(), frame.width);
    const sentMs = performance.now();
    const result = await this.#client.track(frame, timestampS);
    const waitedMs = performance.now() - sentMs;
    this.#faces = result.faces;
    this.#hasFrame = true;
    this.paint();
    const messageMs = Math.max(0, waitedMs - totalMs(result.timings));
    const times = { ...result.timings, captureMs, messageMs, paintMs: this.#paintMs };
    this.#statistics.add(times, performance.now());
    this.#view.showNumbers(result, this.#statistics, false);
    this.#showFaces(result.faces.length);
    if (copy !== null) {
      this.observer?.(copy, timestampS, result);
    }
    return result;
  }

  /** Show a frame from elsewhere instead of the source's, and track it: for tests. */
  processGiven(frame: ImageData, timestampS: number): Promise<TrackResult> {
    this.#grabber.put(frame);
    this.#view.setAspect(frame.width, frame.height);
    return this.processFrame(frame, timestampS);
  }

  /** Paint the last frame again. */
  paint(): void {
    if (!this.#hasFrame) {
      return;
    }
    const startMs = performance.now();
    paintView(this.#view.canvas, this.#grabber.canvas, this.#faces, this.#overlayOptions());
    this.#paintMs = performance.now() - startMs;
  }

  /** Start the camera, instead of what is shown now. */
  async startCamera(facing: Facing): Promise<void> {
    await this.#open(async (isCurrent) => {
      this.#show({ name: "starting" });
      const source = await openCamera(facing);
      if (!isCurrent()) {
        source.close();
        return;
      }
      this.#facing = source.facing ?? facing;
      await this.#play(source, this.#facing === "user");
      this.#view.switchCamera.disabled = (await countCameras()) < 2;
    });
  }

  /** Show a picture or a video file. */
  async openFile(file: File): Promise<void> {
    await this.#open(async (isCurrent) => {
      if (file.type.startsWith("video/")) {
        const source = await openVideo(file);
        if (isCurrent()) {
          await this.#play(source, false);
        } else {
          source.close();
        }
        return;
      }
      const picture = await openPicture(file);
      if (isCurrent()) {
        await this.#showPicture(picture);
      }
      picture.close();
    });
  }

  /** Change what runs; what ran before stays where it cannot. */
  async choose(choice: EngineChoice): Promise<void> {
    const before = this.#choice;
    this.#view.lockEngine();
    this.#view.showNote("Loading …");
    try {
      const report = await this.#client.load(choice);
      this.#choice = choice;
      this.#statistics.reset();
      this.#view.showEngine(report);
    } catch (error) {
      this.#view.showEngine(await this.#client.load(before));
      this.#view.showNote(`That did not load, so it stays as it was: ${messageOf(error)}`);
    }
  }

  async #open(work: (isCurrent: () => boolean) => Promise<void>): Promise<void> {
    this.#opening += 1;
    const mine = this.#opening;
    const isCurrent = (): boolean => mine === this.#opening;
    this.#closeSource();
    try {
      await work(isCurrent);
    } catch (error) {
      if (isCurrent()) {
        this.#showProblem(error);
      }
    }
  }

  async #play(source: VideoSource, mirrored: boolean): Promise<void> {
    this.#source = source;
    this.#setMirrored(mirrored);
    this.#view.mirror.disabled = false;
    this.#statistics.reset();
    this.#hadFace = false;
    await this.#client.configure(this.#maxFaces);
    const { videoWidth, videoHeight } = source.element;
    this.#view.setAspect(videoWidth, videoHeight);
    this.#show({ name: "searching" });
    this.#awaitFrame(source);
  }

  async #showPicture(picture: ImageBitmap): Promise<void> {
    this.#setMirrored(false);
    this.#view.mirror.disabled = true;
    this.#statistics.reset();
    const startMs = performance.now();
    const frame = this.#grabber.grab(picture);
    if (frame === null) {
      return;
    }
    const captureMs = performance.now() - startMs;
    this.#view.setAspect(frame.width, frame.height);
    const result = await this.#client.detect(frame);
    this.#faces = result.faces;
    this.#hasFrame = true;
    this.#show({ name: "picture", faces: result.faces.length });
    this.paint();
    const times = { ...result.timings, captureMs, messageMs: 0, paintMs: this.#paintMs };
    this.#statistics.add(times, performance.now());
    this.#view.showNumbers(result, this.#statistics, true);
  }

  #awaitFrame(source: VideoSource): void {
    source.element.requestVideoFrameCallback((nowMs) => {
      void this.#takeFrame(source, nowMs / 1000);
    });
  }

  async #takeFrame(source: VideoSource, timestampS: number): Promise<void> {
    if (source !== this.#source || !this.#isPlaying()) {
      return;
    }
    const startMs = performance.now();
    const frame = this.#grabber.grab(source.element);
    try {
      if (frame !== null) {
        this.#view.setAspect(frame.width, frame.height);
        await this.processFrame(frame, timestampS, performance.now() - startMs);
      }
      if (source === this.#source && this.#isPlaying()) {
        this.#awaitFrame(source);
      }
    } catch (error) {
      this.#closeSource();
      this.#showProblem(error);
    }
  }

  #isPlaying(): boolean {
    return ["tracking", "searching", "lost"].includes(this.#state.name);
  }

  #showFaces(faces: number): void {
    if (["paused", "hidden", "starting", "problem"].includes(this.#state.name)) {
      return; // the frame was on its way when that happened
    }
    this.#hadFace ||= faces > 0;
    const without = this.#hadFace ? "lost" : "searching";
    this.#show(faces > 0 ? { name: "tracking", faces } : { name: without });
  }

  #showProblem(error: unknown): void {
    const title = error instanceof SourceError ? PROBLEM_TITLES[error.kind] : "That did not work";
    this.#show({ name: "problem", title, text: messageOf(error) });
  }

  #show(state: State): void {
    this.#state = state;
    this.#view.showState(state);
  }

  #closeSource(): void {
    this.#source?.close();
    this.#source = null;
    this.#faces = [];
    this.#view.mirror.disabled = true;
    this.#view.switchCamera.disabled = true;
  }

  #pause(name: "paused" | "hidden"): void {
    if (this.#source !== null && this.#isPlaying()) {
      this.#source.element.pause();
      this.#show({ name });
    }
  }

  async #resume(): Promise<void> {
    const source = this.#source;
    if (source !== null) {
      await source.element.play();
      this.#statistics.reset();
      this.#show({ name: this.#hadFace ? "lost" : "searching" });
      this.#awaitFrame(source);
    }
  }

  #overlayOptions(): OverlayOptions {
    const shown = new Set(inputs("show").flatMap((one) => (one.checked ? [one.value] : [])));
    return {
      landmarks: shown.has("landmarks"),
      axes: shown.has("axes"),
      box: shown.has("box"),
      mirrored: this.#mirrored,
    };
  }

  #setMirrored(mirrored: boolean): void {
    this.#mirrored = mirrored;
    this.#view.mirror.setAttribute("aria-pressed", String(mirrored));
  }

  #toggle(): void {
    if (this.#isPlaying()) {
      this.#pause("paused");
    } else if (this.#state.name === "paused" || this.#state.name === "hidden") {
      void this.#resume();
    } else {
      void this.startCamera(this.#facing);
    }
  }

  #listen(): void {
    const view = this.#view;
    const openFiles = (): void => {
      view.file.click();
    };
    view.start.addEventListener("click", () => {
      this.#toggle();
    });
    view.coverStart.addEventListener("click", () => {
      void this.startCamera(this.#facing).then(() => {
        view.start.focus(); // the cover is gone, and its button with it
      });
    });
    view.open.addEventListener("click", openFiles);
    view.coverOpen.addEventListener("click", openFiles);
    view.file.addEventListener("change", () => {
      const file = view.file.files?.[0];
      if (file !== undefined) {
        void this.openFile(file);
      }
      view.file.value = ""; // the same file can be chosen again
    });
    view.switchCamera.addEventListener("click", () => {
      void this.startCamera(this.#facing === "user" ? "environment" : "user");
    });
    view.mirror.addEventListener("click", () => {
      this.#setMirrored(!this.#mirrored);
      this.paint();
    });
    this.#listenToSettings();
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) {
        this.#pause("hidden");
      } else if (this.#state.name === "hidden") {
        void this.#resume();
      }
    });
    new ResizeObserver(() => {
      this.#fitCanvas();
    }).observe(view.canvas);
  }

  #listenToSettings(): void {
    for (const input of inputs("precision")) {
      input.addEventListener("change", () => {
        void this.choose({ ...this.#choice, precision: input.value as Precision });
      });
    }
    for (const input of inputs("device")) {
      input.addEventListener("change", () => {
        const device = input.value as Device;
        const precision = device === "gpu" ? "float32" : this.#choice.precision;
        void this.choose({ device, precision });
      });
    }
    for (const input of inputs("max-faces")) {
      input.addEventListener("change", () => {
        this.#maxFaces = Number(input.value);
        void this.#client.configure(this.#maxFaces);
      });
    }
    for (const input of inputs("show")) {
      input.addEventListener("change", () => {
        this.paint();
      });
    }
  }

  /** One pixel of the canvas for each of the screen. */
  #fitCanvas(): void {
    const { canvas } = this.#view;
    const width = Math.max(1, Math.round(canvas.clientWidth * window.devicePixelRatio));
    const height = Math.max(1, Math.round(canvas.clientHeight * window.devicePixelRatio));
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
      this.paint();
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
