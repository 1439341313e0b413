/** Chromium with a fake webcam, or none. */

import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/** A browser with one page, and what went wrong in it. */
export interface Session {
  readonly browser: Browser;
  readonly page: Page;
  /** Errors of the page and messages of its console that are errors. */
  readonly errors: string[];
  /** Addresses that the page asked for. */
  readonly requested: string[];
}

export interface SessionOptions {
  /** A .y4m file to play as the webcam; "none" for a computer without one. */
  readonly webcam: string;
  /** Whether the camera is allowed without asking. */
  readonly allowed?: boolean;
  readonly context?: BrowserContextOptions;
  readonly args?: readonly string[];
}

/** Path of Chromium: $CHROMIUM, or the first of its names in PATH. */
export function findChromium(): string {
  const folders = (process.env.PATH ?? "").split(delimiter);
  const candidates = folders.flatMap((folder) => NAMES.map((name) => join(folder, name)));
  for (const file of [process.env.CHROMIUM ?? "", ...candidates]) {
    if (file !== "" && isExecutable(file)) {
      return file;
    }
  }
  throw new Error("expected Chromium in PATH or in $CHROMIUM: apt-get install chromium");
}

/** Start Chromium with one page; nothing is loaded yet. */
export async function openSession(options: SessionOptions): Promise<Session> {
  const camera =
    options.webcam === "none"
      ? []
      : [
          "--use-fake-device-for-media-stream",
          `--use-file-for-fake-video-capture=${options.webcam}`,
        ];
  const browser = await chromium.launch({
    executablePath: findChromium(),
    args: [
      "--no-sandbox",
      "--disable-dev-shm-usage",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--enable-precise-memory-info",
      ...(options.args ?? ["--disable-gpu"]),
      ...camera,
    ],
  });
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    ...options.context,
    permissions: options.allowed === false ? [] : ["camera"],
  });
  const page = await context.newPage();
  const errors: string[] = [];
  const requested: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") {
      errors.push(message.text());
    }
  });
  context.on("request", (request) => requested.push(request.url()));
  return { browser, page, errors, requested };
}

/** Wait until the page is in one of some states. */
export async function waitForState(page: Page, ...states: string[]): Promise<void> {
  await page.waitForFunction(
    (wanted) => wanted.includes(document.getElementById("app")?.dataset.state ?? ""),
    states,
    { timeout: 60_000 },
  );
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
