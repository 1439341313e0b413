/** This package against the golden vectors of the Python runtime. */

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { casesOf, firstDifference, GOLDEN, type Json, stagesOf } from "./golden.js";
import { READERS } from "./readers.js";

const STAGES = stagesOf(GOLDEN);

test("every stage has a reader, and every reader a stage", () => {
  expect(STAGES).toEqual(Object.keys(READERS).sort());
});

describe.each(STAGES)("%s", (stage) => {
  test.each(casesOf(GOLDEN, stage))("$name", async ({ inputs, expected, tolerance }) => {
    const reader = READERS[stage];
    expect(reader, `a reader for the stage ${stage}`).toBeDefined();
    const got = (await reader?.(inputs)) as Record<string, unknown>;
    for (const [name, value] of Object.entries(expected)) {
      expect(firstDifference(got[name], value, tolerance[name] ?? 0, name)).toBeNull();
    }
  });
});

test("a stage without cases is an error", () => {
  const folder = mkdtempSync(join(tmpdir(), "golden-"));
  mkdirSync(join(folder, "decode"));
  expect(() => casesOf(folder, "decode")).toThrow("expected golden cases in decode, found none");
  rmSync(folder, { recursive: true });
});

test.each<[unknown, Json]>([
  [[1], [1.2]],
  [[1, 2], [1]],
  [{ a: 1 }, { b: 1 }],
  [true, false],
  ["tracked", "detected"],
  [null, 1],
  [Number.NaN, 1],
  [undefined, null],
])("the comparison can fail: %j is not %j", (got, expected) => {
  expect(firstDifference(got, expected, 0.1, "value")).not.toBeNull();
});
