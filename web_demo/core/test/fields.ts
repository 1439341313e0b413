/** Typed access to the fields of golden vectors. */

import { type Box, type Frame, makeRoi, type Roi, type Rotation } from "../src/index.js";
import type { Json, JsonObject } from "./golden.js";

export function numberOf(value: Json | undefined): number {
  if (typeof value !== "number") {
    throw new Error(`expected a number, got ${JSON.stringify(value)}`);
  }
  return value;
}

export function textOf(value: Json | undefined): string {
  if (typeof value !== "string") {
    throw new Error(`expected a text, got ${JSON.stringify(value)}`);
  }
  return value;
}

export function listOf(value: Json | undefined): readonly Json[] {
  if (!Array.isArray(value)) {
    throw new Error(`expected a list, got ${JSON.stringify(value)}`);
  }
  return value as readonly Json[];
}

export function objectOf(value: Json | undefined): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`expected an object, got ${JSON.stringify(value)}`);
  }
  return value as JsonObject;
}

export function numbersOf(value: Json | undefined): number[] {
  return listOf(value).map(numberOf);
}

/** Nested lists of numbers, flat. */
export function flatOf(value: Json | undefined): Float32Array {
  const flatten = (one: Json): number[] =>
    Array.isArray(one) ? one.flatMap(flatten) : [numberOf(one)];
  return Float32Array.from(flatten(listOf(value)));
}

export function boxesOf(value: Json | undefined): Box[] {
  return listOf(value).map((one) => {
    const [left = 0, top = 0, right = 0, bottom = 0] = numbersOf(one);
    return [left, top, right, bottom];
  });
}

export function roiOf(value: Json | undefined): Roi {
  const fields = objectOf(value);
  const [x, y] = [numberOf(fields.center_x), numberOf(fields.center_y)];
  return makeRoi(x, y, numberOf(fields.size), numberOf(fields.rotation_rad));
}

export function rotationOf(value: Json | undefined): Rotation {
  return listOf(value).flatMap(numbersOf) as unknown as Rotation;
}

/** A picture of lists of (red, green, blue) as RGBA. */
export function frameOf(value: Json | undefined): Frame {
  const rows = listOf(value).map(listOf);
  const pixels = rows.flat().flatMap((pixel) => [...numbersOf(pixel), 255]);
  return {
    width: rows[0]?.length ?? 0,
    height: rows.length,
    data: Uint8ClampedArray.from(pixels),
  };
}

/** Names as JavaScript writes them. */
export function camelCase(fields: JsonObject): JsonObject {
  const renamed = Object.entries(fields).map(([name, value]) => [
    name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
    value,
  ]);
  return Object.fromEntries(renamed) as JsonObject;
}

export function roiFields({ centerX, centerY, size, rotationRad }: Roi): object {
  return { center_x: centerX, center_y: centerY, size, rotation_rad: rotationRad };
}

/** A flat list as rows of `length`. */
export function rows(values: ArrayLike<number>, length: number): number[][] {
  return Array.from({ length: values.length / length }, (_, row) =>
    Array.from({ length }, (_unused, column) => values[row * length + column] as number),
  );
}
