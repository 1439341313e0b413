/** Golden vectors: reads the cases that the Python runtime wrote, and compares as it does. */

import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

export const REPOSITORY = fileURLToPath(new URL("../../../", import.meta.url));
export const GOLDEN = join(REPOSITORY, "tests", "golden");

/** What JSON holds. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

/** One golden vector. */
export interface GoldenCase {
  readonly stage: string;
  readonly name: string;
  /** What the stage is given. */
  readonly inputs: JsonObject;
  /** What it must give. */
  readonly expected: JsonObject;
  /** Largest absolute difference, by field of `expected`. */
  readonly tolerance: Readonly<Record<string, number>>;
}

/** The folders of the stages. */
export function stagesOf(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}

/**
 * The cases of a stage.
 *
 * @throws Error - there is none, or a file is not in the format.
 */
export function casesOf(folder: string, stage: string): GoldenCase[] {
  const files = readdirSync(join(folder, stage)).filter((name) => name.endsWith(".json"));
  if (files.length === 0) {
    throw new Error(`expected golden cases in ${stage}, found none`);
  }
  return files.sort().map((file) => {
    const document: unknown = JSON.parse(readFileSync(join(folder, stage, file), "utf-8"));
    if (!isCase(document)) {
      throw new Error(`expected the objects inputs, expected, tolerance in ${stage}/${file}`);
    }
    return { stage, name: basename(file, ".json"), ...document };
  });
}

function isCase(document: unknown): document is Omit<GoldenCase, "stage" | "name"> {
  if (typeof document !== "object" || document === null) {
    return false;
  }
  const { inputs, expected, tolerance, ...rest } = document as Record<string, unknown>;
  const objects = [inputs, expected, tolerance];
  return (
    Object.keys(rest).length === 0 &&
    objects.every((one) => typeof one === "object" && one !== null && !Array.isArray(one)) &&
    Object.keys(expected as object).join() === Object.keys(tolerance as object).join()
  );
}

/**
 * Numbers within the tolerance, everything else equal; the same structure.
 *
 * @returns the first place that differs, null where none does.
 */
export function firstDifference(
  got: unknown,
  expected: Json,
  tolerance: number,
  where: string,
): string | null {
  if (typeof expected === "number") {
    return isClose(got, expected, tolerance)
      ? null
      : `${where}: expected ${expected} within ${tolerance}, got ${String(got)}`;
  }
  if (typeof expected !== "object" || expected === null) {
    return Object.is(got, expected)
      ? null
      : `${where}: expected ${String(expected)}, got ${String(got)}`;
  }
  if (typeof got !== "object" || got === null || isList(got) !== isList(expected)) {
    return `${where}: expected ${isList(expected) ? "a list" : "an object"}, got ${String(got)}`;
  }
  return firstInside(got as Record<string, unknown>, expected as JsonObject, tolerance, where);
}

function firstInside(
  got: Readonly<Record<string, unknown>>,
  expected: JsonObject,
  tolerance: number,
  where: string,
): string | null {
  const [gotKeys, keys] = [Object.keys(got).sort().join(), Object.keys(expected).sort().join()];
  if (gotKeys !== keys) {
    return `${where}: expected the fields ${keys}, got ${gotKeys}`;
  }
  for (const [key, wanted] of Object.entries(expected)) {
    const found = firstDifference(got[key], wanted, tolerance, `${where}.${key}`);
    if (found !== null) {
      return found;
    }
  }
  return null;
}

function isClose(got: unknown, expected: number, tolerance: number): boolean {
  const reach = Math.max(tolerance, 1e-7 * Math.abs(expected));
  return typeof got === "number" && Math.abs(got - expected) <= reach; // NaN compares false
}

function isList(value: object): boolean {
  return Array.isArray(value) || ArrayBuffer.isView(value);
}
