/** The built page in Chromium: its states, its promises, its memory. */

import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { openSession, type Session, type SessionOptions, waitForState } from "./support/browser.js";
import { type Clip, decodeClip, makeWebcam, python } from "./support/python.js";
import { PageServer } from "./support/server.js";

const FRAME_RATE_HZ = 25;
const AWAY = 150; // a frame of the clip in which the head is gone

let server: PageServer;
let address = "";
let folder = "";
let webcam = "";
let clip: Clip;
const open: Session[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "atpn-page-"));
  webcam = makeWebcam("synthetic_solo", folder);
  clip = decodeClip("synthetic_solo", folder);
  server = new PageServer();
  server.frames = { file: clip.file, frameBytes: 4 * clip.width * clip.height };
  address = await server.start();
});

afterEach(async () => {
  await Promise.all(open.splice(0).map((session) => session.browser.close()));
  server.replaced.clear();
});

afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});

/** A page with its networks loaded. */
async function readyPage(options: Partial<SessionOptions> = {}, query = "?hook"): Promise<Session> {
  const session = await openSession({ webcam, ...options });
  open.push(session);
  await session.page.goto(address + query);
  await waitForState(session.page, "ready");
  return session;
}

/** Hand frames of the clip to the page, one after the other; returns the faces of each. */
function track(session: Session, frames: readonly number[], startS = 0): Promise<number[]> {
  return session.page.evaluate(
    async ({ frames, startS, width, rate }) => {
      const counts: number[] = [];
      for (const [index, frame] of frames.entries()) {
        const pixels = await (await fetch(`frames/${frame}`)).arrayBuffer();
        const result = await window.atpnHook?.track(pixels, width, startS + index / rate);
        counts.push(result?.faces.length ?? -1);
      }
      return counts;
    },
    { frames, startS, width: clip.width, rate: FRAME_RATE_HZ },
  );
}

async function stateOf(session: Session): Promise<string> {
  return (await session.page.locator("#app").getAttribute("data-state")) ?? "";
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

describe("loading", () => {
  test("shows progress, then is ready, and asks nobody else for anything", async () => {
    const session = await openSession({ webcam });
    open.push(session);
    const { page } = session;
    const seen = new Set<string>();
    await page.exposeFunction("see", (text: string) => seen.add(text));
    await page.addInitScript(() => {
      const look = (): void => {
        const text = document.getElementById("cover-text")?.textContent;
        (window as unknown as { see: (text: string) => void }).see(text ?? "");
      };
      document.addEventListener("DOMContentLoaded", () => {
        const target = document.getElementById("cover-text");
        if (target !== null) {
          new MutationObserver(look).observe(target, { childList: true, characterData: true });
        }
      });
    });
    await page.goto(address);
    await waitForState(page, "ready");
    expect([...seen].some((text) => /^\d+\.\d of \d+\.\d MB/.test(text))).toBe(true);
    await page.locator("#cover-start").click();
    await waitForState(page, "tracking");
    expect(session.errors).toEqual([]);
    expect(session.requested.filter((url) => !url.startsWith(address))).toEqual([]);
  });

  test("refuses a model that is not the one the manifest describes", async () => {
    const manifest = readFileSync(
      new URL("../dist/models/manifest.json", import.meta.url),
      "utf-8",
    );
    const path = /"path": "(atpn_float32\.onnx)"/.exec(manifest)?.[1] ?? "";
    const bytes = readFileSync(new URL(`../dist/models/${path}`, import.meta.url));
    bytes[1000] = (bytes[1000] ?? 0) ^ 1;
    server.replaced.set(`/models/${path}`, bytes);
    const session = await openSession({ webcam });
    open.push(session);
    await session.page.goto(address);
    await waitForState(session.page, "problem");
    const digest = createHash("sha256").update(bytes).digest("hex");
    expect(await session.page.locator("#cover-text").textContent()).toContain(`got ${digest}`);
  });

  test("forbids scripts and connections of other origins", async () => {
    const { page } = await readyPage();
    const blocked = await page.evaluate(
      () =>
        new Promise<string>((resolve) => {
          document.addEventListener("securitypolicyviolation", (event) => {
            resolve(event.effectiveDirective);
          });
          fetch("https://example.com/").catch(() => undefined);
        }),
    );
    expect(blocked).toBe("connect-src");
    const policy = page.locator('meta[http-equiv="Content-Security-Policy"]');
    const content = (await policy.getAttribute("content")) ?? "";
    expect(content).toContain("default-src 'none'");
    expect(content).not.toMatch(/https?:|\*/);
  });
});

describe("camera", () => {
  test("refused", async () => {
    const { page } = await readyPage({ allowed: false });
    await page.locator("#cover-start").click();
    await waitForState(page, "problem");
    expect(await page.locator("#cover-title").textContent()).toBe("Camera refused");
    expect(await page.locator("#live").textContent()).toContain("Camera refused");
  });

  test("none there", async () => {
    const { page } = await readyPage({ webcam: "none" });
    await page.locator("#cover-start").click();
    await waitForState(page, "problem");
    expect(await page.locator("#cover-title").textContent()).toBe("No camera");
  });

  test("pauses and resumes by the keyboard, mirrors", async () => {
    const session = await readyPage();
    const { page } = session;
    await page.locator("#cover-start").focus();
    await page.keyboard.press("Enter");
    await waitForState(page, "tracking");
    await expect.poll(() => page.evaluate(() => document.activeElement?.id)).toBe("start");
    await page.keyboard.press("Space");
    await waitForState(page, "paused");
    expect(await page.locator("#start").textContent()).toBe("Resume");
    expect(await page.locator("#mirror").getAttribute("aria-pressed")).toBe("true");
    const left = await cornerColor(session);
    await page.locator("#mirror").click();
    expect(await page.locator("#mirror").getAttribute("aria-pressed")).toBe("false");
    expect(await cornerColor(session)).not.toEqual(left);
    await page.keyboard.press("Shift+Tab");
    await page.locator("#start").press("Enter");
    await waitForState(page, "tracking");
  });

  /** Colours of the lower left corner, where the webcam's frames have black and white squares. */
  function cornerColor({ page }: Session): Promise<number[]> {
    return page.evaluate(() => {
      const canvas = document.querySelector("canvas");
      const context = canvas?.getContext("2d");
      const y = (canvas?.height ?? 0) - 4;
      return [...(context?.getImageData(0, y, 100, 1).data ?? [])];
    });
  }

  test("hidden tab pauses, coming back resumes", async () => {
    const { page } = await readyPage();
    await page.locator("#cover-start").click();
    await waitForState(page, "tracking");
    await setHidden(true);
    await waitForState(page, "hidden");
    const shown = await page.evaluate(() => document.querySelector("canvas")?.toDataURL());
    await page.waitForTimeout(300);
    expect(await page.evaluate(() => document.querySelector("canvas")?.toDataURL())).toBe(shown);
    await setHidden(false);
    await waitForState(page, "tracking");

    // Headless Chromium keeps every tab visible: what the page is told is what is tested.
    async function setHidden(hidden: boolean): Promise<void> {
      await page.evaluate((value) => {
        Object.defineProperty(document, "hidden", { value, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
      }, hidden);
    }
  });
});

describe("files", () => {
  test("wrong file", async () => {
    const { page } = await readyPage();
    const file = { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("no picture") };
    await page.locator("#file").setInputFiles(file);
    await waitForState(page, "problem");
    expect(await page.locator("#cover-title").textContent()).toBe("Wrong file");
    expect(await page.locator("#cover-text").textContent()).toContain("notes.txt");
  });

  test("broken video", async () => {
    const { page } = await readyPage();
    const file = { name: "a.mp4", mimeType: "video/mp4", buffer: Buffer.from("no video") };
    await page.locator("#file").setInputFiles(file);
    await waitForState(page, "problem");
    expect(await page.locator("#cover-title").textContent()).toBe("Wrong file");
  });

  test("picture with two faces, then one without", async () => {
    const { page } = await readyPage();
    const [pair, wall] = [join(folder, "pair.png"), join(folder, "wall.png")];
    const code = `
import sys, cv2, numpy as np
cv2.imwrite(sys.argv[2], cv2.VideoCapture(sys.argv[1]).read()[1])
cv2.imwrite(sys.argv[3], np.full((300, 200, 3), 90, np.uint8))`;
    const video = new URL("../../assets/clips/synthetic_pair.mp4", import.meta.url).pathname;
    python(code, [video, pair, wall]);
    await page.locator('input[name="max-faces"][value="2"]').check({ force: true });
    await page.locator("#file").setInputFiles(pair);
    await waitForState(page, "picture");
    await expect.poll(() => page.locator("#faces").textContent()).toBe("2");
    await page.locator("#file").setInputFiles(wall);
    await expect.poll(() => page.locator("#badge").textContent()).toBe("No face found");
    expect(await page.locator("#faces").textContent()).toBe("0");
  });

  test("video", async () => {
    const { page } = await readyPage();
    const video = join(folder, "clip.webm");
    const code = `
import sys, cv2
source = cv2.VideoCapture(sys.argv[1])
out = cv2.VideoWriter(sys.argv[2], cv2.VideoWriter_fourcc(*"VP80"), 25, (640, 480))
assert out.isOpened()
for _ in range(50):
    out.write(source.read()[1])
out.release()`;
    const source = new URL("../../assets/clips/synthetic_solo.mp4", import.meta.url).pathname;
    python(code, [source, video]);
    await page.locator("#file").setInputFiles(video);
    await waitForState(page, "tracking");
  });
});

describe("tracking", () => {
  test("a lost face and its return", async () => {
    const session = await readyPage();
    await track(session, range(0, 10));
    expect(await stateOf(session)).toBe("tracking");
    await track(session, [AWAY, AWAY + 1], 1);
    expect(await stateOf(session)).toBe("lost");
    expect(await session.page.locator("#badge").textContent()).toBe("Face lost, looking again");
    expect(await session.page.locator("#live").textContent()).toContain("Face lost");
    await track(session, range(0, 5), 2);
    expect(await stateOf(session)).toBe("tracking");
    expect(await session.page.locator("#live").textContent()).toBe("Tracking 1 face");
  });

  test("int8 and back", async () => {
    const session = await readyPage();
    const { page } = session;
    for (const precision of ["int8", "float32"]) {
      await page.locator(`input[name="precision"][value="${precision}"]`).check({ force: true });
      await page.waitForFunction(
        (value) =>
          document.querySelector<HTMLInputElement>(`input[value="${value}"]:checked:enabled`) !==
            null && document.querySelector('input[name="max-faces"]:disabled') === null,
        precision,
      );
      expect(await track(session, range(0, 5))).toEqual([1, 1, 1, 1, 1]);
    }
    expect(session.errors).toEqual([]);
  });

  test("a resized window: the canvas has the pixels of the screen, the face stays", async () => {
    const session = await readyPage();
    const { page } = session;
    await track(session, range(0, 3));
    for (const viewport of [
      { width: 360, height: 740 },
      { width: 740, height: 360 },
      { width: 1280, height: 800 },
    ]) {
      await page.setViewportSize(viewport);
      await expect
        .poll(() =>
          page.evaluate(() => {
            const canvas = document.querySelector("canvas");
            const box = canvas?.getBoundingClientRect();
            return (
              canvas !== null &&
              box !== undefined &&
              Math.abs(canvas.width - box.width * devicePixelRatio) <= 1 &&
              Math.abs(canvas.height - box.height * devicePixelRatio) <= 1
            );
          }),
        )
        .toBe(true);
      const overflow = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      expect(overflow, `no sideways scrolling at ${viewport.width} pixels`).toBe(0);
      expect(await track(session, [3], 1)).toEqual([1]);
    }
  });

  test("1,000 frames without growing memory", async () => {
    const session = await readyPage();
    const { page, browser } = session;
    const devtools = await page.context().newCDPSession(page);
    const pages = await browser.newBrowserCDPSession();
    const run = (count: number, startS: number): Promise<void> =>
      page.evaluate(
        async ({ count, startS, width, rate }) => {
          const frames = await Promise.all(
            [0, 1, 2, 3].map(async (index) => (await fetch(`frames/${index}`)).arrayBuffer()),
          );
          for (let index = 0; index < count; index += 1) {
            const pixels = frames[index % frames.length]?.slice(0) ?? new ArrayBuffer(0);
            await window.atpnHook?.track(pixels, width, startS + index / rate);
          }
        },
        { count, startS, width: clip.width, rate: FRAME_RATE_HZ },
      );
    const heapBytes = async (): Promise<number> => {
      await devtools.send("HeapProfiler.collectGarbage");
      await page.waitForTimeout(500);
      return (await devtools.send("Runtime.getHeapUsage")).usedSize;
    };
    const processBytes = async (): Promise<number> => {
      const { processInfo } = await pages.send("SystemInfo.getProcessInfo");
      const sizes = processInfo
        .filter((one) => one.type === "renderer")
        .map((one) => residentBytes(one.id));
      return Math.max(...sizes);
    };
    await run(300, 0); // caches and the compiler's memory fill first
    const [heapBefore, processBefore] = [await heapBytes(), await processBytes()];
    await run(1000, 100);
    const [heapAfter, processAfter] = [await heapBytes(), await processBytes()];
    process.stdout.write(
      `heap ${mb(heapBefore)} -> ${mb(heapAfter)} MB, ` +
        `renderer ${mb(processBefore)} -> ${mb(processAfter)} MB\n`,
    );
    // A frame has 1.2 MB: a leak of one in a hundred would show.
    expect(heapAfter - heapBefore).toBeLessThan(2e6);
    expect(processAfter - processBefore).toBeLessThan(40e6);
  });

  /** Memory of a process, the engine's WebAssembly included; Linux only, 0 elsewhere. */
  function residentBytes(processId: number): number {
    if (process.platform !== "linux") {
      return 0;
    }
    const status = readFileSync(`/proc/${processId}/status`, "utf-8");
    return 1024 * Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0);
  }

  function mb(bytes: number): string {
    return (bytes / 1e6).toFixed(1);
  }
});

describe("accessibility", () => {
  test("every control has a name and can be reached by the keyboard", async () => {
    const { page } = await readyPage();
    const names = await page.evaluate(() => {
      const shown = [...document.querySelectorAll<HTMLElement>("button, input, summary")];
      return shown
        .filter((one) => one.checkVisibility() && one.tabIndex >= 0)
        .map((one) => {
          const label = one instanceof HTMLInputElement ? one.labels?.[0]?.textContent : null;
          return one.getAttribute("aria-label") ?? label ?? one.textContent;
        });
    });
    expect(names.length).toBeGreaterThan(8);
    expect(names.filter((name) => name.trim() === "")).toEqual([]);
    const visited = new Set<string>();
    for (let step = 0; step < 20; step += 1) {
      await page.keyboard.press("Tab");
      visited.add(await page.evaluate(() => document.activeElement?.id ?? ""));
    }
    expect(visited.has("cover-start") && visited.has("cover-open")).toBe(true);
  });

  test.each(["dark", "light"] as const)("%s: text stands out from its ground", async (scheme) => {
    const { page } = await readyPage({ context: { colorScheme: scheme } });
    const ratios = await page.evaluate(() => {
      const luminance = (color: string): number => {
        const [r = 0, g = 0, b = 0] = (color.match(/[\d.]+/g) ?? []).slice(0, 3).map((value) => {
          const share = Number(value) / 255;
          return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const ground = (one: Element | null): string => {
        const color = one === null ? "rgb(255, 255, 255)" : getComputedStyle(one).backgroundColor;
        return color === "rgba(0, 0, 0, 0)" ? ground(one?.parentElement ?? null) : color;
      };
      return [...document.querySelectorAll("h2, dt, dd, th, td, legend, .panel p, summary")]
        .filter((one) => one.checkVisibility())
        .map((one) => {
          const [a, b] = [luminance(getComputedStyle(one).color), luminance(ground(one))];
          return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        });
    });
    expect(Math.min(...ratios)).toBeGreaterThan(4.5); // WCAG 2.2, AA
  });
});

describe("offline", () => {
  test("reloads and tracks with the server gone", async () => {
    const own = new PageServer();
    const base = await own.start();
    const session = await openSession({ webcam });
    open.push(session);
    const { page } = session;
    await page.goto(base);
    await page.locator("#offline").waitFor({ state: "visible", timeout: 60_000 });
    await own.stop();
    await page.reload();
    await waitForState(page, "ready");
    await page.locator("#cover-start").click();
    await waitForState(page, "tracking");
    await page.locator('input[name="precision"][value="int8"]').check({ force: true });
    await page.waitForFunction(
      () => document.querySelector('input[value="int8"]:checked:enabled') !== null,
    );
    await waitForState(page, "tracking");
  });
});
