/** The page's elements: what they show for each state. Knows nothing of cameras and networks. */

import type { TrackResult } from "@atpn/core";
import type { EngineReport, LoadProgress } from "../protocol.js";
import type { FrameStatistics, FrameTimes } from "./statistics.js";

/** What the page is doing. */
export type State =
  | { readonly name: "loading" }
  | { readonly name: "ready" }
  | { readonly name: "starting" }
  | { readonly name: "tracking"; readonly faces: number }
  | { readonly name: "searching" }
  | { readonly name: "lost" }
  | { readonly name: "paused" }
  | { readonly name: "hidden" }
  | { readonly name: "picture"; readonly faces: number }
  | { readonly name: "problem"; readonly title: string; readonly text: string };

/** What the cover over the picture says; null: the picture is to be seen. */
interface Cover {
  readonly title: string;
  readonly text: string;
  readonly actions: boolean;
}

const STAGE_NAMES: readonly (readonly [keyof FrameTimes, string])[] = [
  ["captureMs", "Copy the frame"],
  ["detectorMs", "Detector, when asked"],
  ["cropMs", "Crop"],
  ["networkMs", "Network"],
  ["trackerMs", "Tracker"],
  ["messageMs", "To the worker and back"],
  ["paintMs", "Paint"],
];

const NOTHING = "–"; // where there is no number

/** Texts change at most so often: numbers that flicker cannot be read. */
const NUMBERS_INTERVAL_MS = 150;

/** Finds the elements once, and fills them. */
export class View {
  readonly canvas = element("view", HTMLCanvasElement);
  readonly stage = element("stage", HTMLElement);
  readonly start = element("start", HTMLButtonElement);
  readonly switchCamera = element("switch", HTMLButtonElement);
  readonly mirror = element("mirror", HTMLButtonElement);
  readonly open = element("open", HTMLButtonElement);
  readonly file = element("file", HTMLInputElement);
  readonly coverStart = element("cover-start", HTMLButtonElement);
  readonly coverOpen = element("cover-open", HTMLButtonElement);
  readonly #app = element("app", HTMLElement);
  readonly #controls = element("controls", HTMLElement);
  readonly #cover = element("cover", HTMLElement);
  readonly #coverTitle = element("cover-title", HTMLElement);
  readonly #coverText = element("cover-text", HTMLElement);
  readonly #coverActions = element("cover-actions", HTMLElement);
  readonly #progress = element("progress", HTMLProgressElement);
  readonly #badge = element("badge", HTMLElement);
  readonly #live = element("live", HTMLElement);
  readonly #note = element("device-note", HTMLElement);
  readonly #numbers = new Map(
    ["faces", "presence", "yaw", "pitch", "roll", "total", "rate"].map((id) => [
      id,
      element(id, HTMLElement),
    ]),
  );
  readonly #rows = makeTimeRows(element("times", HTMLTableSectionElement));
  #numbersStampMs = Number.NEGATIVE_INFINITY;

  /** Show a state: cover, badge, buttons; say it to screen readers where it changed. */
  showState(state: State): void {
    this.#app.dataset.state = state.name;
    const cover = coverOf(state);
    this.#cover.hidden = cover === null;
    this.#controls.hidden = cover !== null; // the cover has buttons of its own
    this.#progress.hidden = state.name !== "loading";
    if (cover !== null) {
      setText(this.#coverTitle, cover.title);
      setText(this.#coverText, cover.text);
      this.#coverActions.hidden = !cover.actions;
    }
    const badge = badgeOf(state);
    this.#badge.hidden = badge === null;
    setText(this.#badge, badge ?? "");
    setText(this.#live, spoken(state));
    const plays = ["tracking", "searching", "lost"].includes(state.name);
    const rests = state.name === "paused" || state.name === "hidden";
    setText(this.start, plays ? "Pause" : rests ? "Resume" : "Start camera");
    this.canvas.setAttribute("aria-label", cover?.title ?? spoken(state));
  }

  /** Show a download. */
  showProgress({ loadedBytes, totalBytes }: LoadProgress): void {
    const share = totalBytes === 0 ? 0 : loadedBytes / totalBytes;
    this.#progress.value = share;
    const [loaded, total] = [loadedBytes, totalBytes].map((bytes) => (bytes / 1e6).toFixed(1));
    const text = `${loaded ?? ""} of ${total ?? ""} MB, once: they stay on this device.`;
    if (this.#app.dataset.state === "loading") {
      setText(this.#coverText, share < 1 ? text : "Starting the networks …");
    } else {
      this.showNote(share < 1 ? `Loading: ${loaded ?? ""} of ${total ?? ""} MB` : "Starting …");
    }
  }

  /** Say something about where the networks run. */
  showNote(text: string): void {
    setText(this.#note, text);
  }

  /** Set the switches to what runs, and enable what can be chosen. */
  showEngine(report: EngineReport): void {
    const hasGpu = report.gpuName !== null;
    for (const input of inputs("precision")) {
      input.checked = input.value === report.precision;
      input.disabled = report.device === "gpu" && input.value === "int8";
    }
    for (const input of inputs("device")) {
      input.checked = input.value === report.device;
      input.disabled = input.value === "gpu" && !hasGpu;
    }
    for (const input of inputs("max-faces")) {
      input.disabled = false;
    }
    this.open.disabled = false;
    this.start.disabled = false;
    this.showNote(engineNote(report));
    setText(element("licence", HTMLElement), `Terms: ${report.license}`);
  }

  /** Disable the engine's switches while one of them is at work. */
  lockEngine(): void {
    for (const input of [...inputs("precision"), ...inputs("device"), ...inputs("max-faces")]) {
      input.disabled = true;
    }
  }

  /** Show what a frame gave and how long frames take. */
  showNumbers(result: TrackResult, statistics: FrameStatistics, isPicture: boolean): void {
    const nowMs = performance.now();
    if (!isPicture && nowMs - this.#numbersStampMs < NUMBERS_INTERVAL_MS) {
      return;
    }
    this.#numbersStampMs = nowMs;
    this.#showFace(result);
    const totalMs = statistics.totalMs();
    const rateHz = isPicture ? null : statistics.rateHz();
    this.#setNumber("total", totalMs.toFixed(1));
    this.#setNumber("rate", rateHz === null ? "" : `${rateHz.toFixed(0)} fps`);
    const medians = statistics.medians();
    for (const [stage, row] of this.#rows) {
      setText(row.ms, medians[stage].toFixed(1));
      row.bar.value = totalMs > 0 ? Math.min(1, medians[stage] / totalMs) : 0;
    }
  }

  #showFace({ faces }: TrackResult): void {
    const face = faces[0];
    const { yawDeg, pitchDeg, rollDeg } = face?.pose ?? {};
    this.#setNumber("faces", String(faces.length));
    this.#setNumber("presence", face ? `${Math.round(100 * face.presence)} %` : NOTHING);
    this.#setNumber("yaw", degrees(yawDeg));
    this.#setNumber("pitch", degrees(pitchDeg));
    this.#setNumber("roll", degrees(rollDeg));
  }

  /** Say once that the page works without a network now. */
  showOffline(): void {
    element("offline", HTMLElement).hidden = false;
  }

  /** Put the picture's shape on the stage. */
  setAspect(width: number, height: number): void {
    this.stage.style.setProperty("--aspect", String(width / height));
  }

  #setNumber(id: string, text: string): void {
    const target = this.#numbers.get(id);
    if (target !== undefined) {
      setText(target, text);
    }
  }
}

/** The radio buttons or check boxes of a group. */
export function inputs(name: string): HTMLInputElement[] {
  return [...document.querySelectorAll<HTMLInputElement>(`input[name="${name}"]`)];
}

function element<T extends HTMLElement>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) {
    throw new Error(`expected a ${kind.name} with id ${id} in the page`);
  }
  return found;
}

function setText(target: HTMLElement, text: string): void {
  if (target.textContent !== text) {
    target.textContent = text;
  }
}

function coverOf(state: State): Cover | null {
  switch (state.name) {
    case "loading":
      return { title: "Loading", text: "The networks are on their way.", actions: false };
    case "ready":
      return {
        title: "Ready",
        text: "98 landmarks, head pose and confidence, computed here. No picture leaves this device.",
        actions: true,
      };
    case "starting":
      return {
        title: "Asking for the camera",
        text: "The browser may ask you.",
        actions: false,
      };
    case "problem":
      return { title: state.title, text: state.text, actions: true };
    default:
      return null;
  }
}

function badgeOf(state: State): string | null {
  switch (state.name) {
    case "searching":
      return "No face in view";
    case "lost":
      return "Face lost, looking again";
    case "paused":
      return "Paused";
    case "hidden":
      return "Paused while the tab was hidden";
    case "picture":
      return state.faces === 0 ? "No face found" : null;
    default:
      return null;
  }
}

/** A state in words, for the live region and the picture's name. */
function spoken(state: State): string {
  switch (state.name) {
    case "tracking":
      return `Tracking ${faceCount(state.faces)}`;
    case "picture":
      return state.faces === 0 ? "Picture, no face found" : `Picture, ${faceCount(state.faces)}`;
    default: {
      const cover = coverOf(state);
      return cover === null ? (badgeOf(state) ?? "") : `${cover.title}. ${cover.text}`;
    }
  }
}

function faceCount(faces: number): string {
  return faces === 1 ? "1 face" : `${faces} faces`;
}

function engineNote(report: EngineReport): string {
  if (report.networkMs !== null) {
    const { cpu, gpu } = report.networkMs;
    const faster = gpu < cpu ? "GPU" : "CPU";
    const times = `network ${gpu.toFixed(1)} ms on the GPU, ${cpu.toFixed(1)} ms on the CPU`;
    return `Measured just now: ${times}. The ${faster} is faster here.`;
  }
  if (report.gpuName === null) {
    return "No WebGPU here, so the networks run on the CPU.";
  }
  return `WebGPU: ${report.gpuName}. The GPU runs float32 only, and downloads a larger engine.`;
}

function degrees(angle: number | undefined): string {
  if (angle === undefined) {
    return NOTHING;
  }
  const whole = Math.round(angle);
  const sign = whole > 0 ? "+" : whole < 0 ? "−" : "";
  return `${sign}${Math.abs(whole)}°`;
}

interface TimeRow {
  readonly bar: HTMLMeterElement;
  readonly ms: HTMLElement;
}

function makeTimeRows(body: HTMLTableSectionElement): Map<keyof FrameTimes, TimeRow> {
  return new Map(
    STAGE_NAMES.map(([stage, name]) => {
      const row = body.insertRow();
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = name;
      const bar = document.createElement("meter");
      bar.setAttribute("aria-label", `${name}, share of the frame`);
      const ms = document.createElement("td");
      ms.textContent = "–";
      const cell = document.createElement("td");
      cell.append(bar);
      row.append(head, cell, ms);
      return [stage, { bar, ms }];
    }),
  );
}
