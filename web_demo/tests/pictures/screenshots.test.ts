/**
 * Screenshots of the page, to be looked at: `npm run screenshots`. They go to $SCREENSHOTS, or
 * web_demo/out.
 */

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, test } from "vitest";
import { openSession, type Session, waitForState } from "../support/browser.js";
import { makeWebcam } from "../support/python.js";
import { PageServer } from "../support/server.js";

const OUT = process.env.SCREENSHOTS ?? fileURLToPath(new URL("../../out/", import.meta.url));
const SIZES = {
  portrait: { width: 360, height: 740 },
  landscape: { width: 740, height: 360 },
  desktop: { width: 1280, height: 800 },
};
const server = new PageServer();
let address = "";
let folder = "";
let webcam = "";

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "atpn-shots-"));
  webcam = makeWebcam("synthetic_solo", folder, ["--plain"]);
  mkdirSync(OUT, { recursive: true });
  address = await server.start();
});

afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});

async function shoot(session: Session, name: string): Promise<void> {
  await session.page.screenshot({ path: join(OUT, `${name}.png`) });
}

for (const colorScheme of ["dark", "light"] as const) {
  for (const [size, viewport] of Object.entries(SIZES)) {
    test(`${size} ${colorScheme}`, async () => {
      const deviceScaleFactor = size === "desktop" ? 1 : 2;
      const context = { viewport, colorScheme, deviceScaleFactor };
      const session = await openSession({ webcam, context });
      const { page } = session;
      await page.goto(address);
      await waitForState(page, "ready");
      await shoot(session, `${size}_${colorScheme}_ready`);
      await page.locator("#cover-start").click();
      await waitForState(page, "tracking");
      await page.waitForTimeout(2500);
      await shoot(session, `${size}_${colorScheme}_tracking`);
      await page.evaluate(() => {
        scrollTo(0, document.body.scrollHeight);
      });
      await page.waitForTimeout(300);
      await shoot(session, `${size}_${colorScheme}_settings`);
      await page.locator("summary").click();
      await page.locator("summary").scrollIntoViewIfNeeded();
      await page.evaluate(() => {
        scrollTo(0, document.body.scrollHeight);
      });
      await shoot(session, `${size}_${colorScheme}_about`);
      await session.browser.close();
    });
  }
}
