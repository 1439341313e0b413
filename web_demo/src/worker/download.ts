/** Downloads with progress. */

/** Adds up the bytes of several downloads. */
export class ProgressMeter {
  readonly #report: (loadedBytes: number, totalBytes: number) => void;
  readonly #totalBytes: number;
  #loadedBytes = 0;

  constructor(totalBytes: number, report: (loadedBytes: number, totalBytes: number) => void) {
    this.#totalBytes = totalBytes;
    this.#report = report;
    report(0, totalBytes);
  }

  add(bytes: number): void {
    this.#loadedBytes += bytes;
    this.#report(Math.min(this.#loadedBytes, this.#totalBytes), this.#totalBytes);
  }
}

/**
 * Fetch a file of this page.
 *
 * @throws Error - it cannot be had.
 */
export async function download(url: string, meter: ProgressMeter): Promise<Uint8Array> {
  const response = await request(url);
  if (response.body === null) {
    return new Uint8Array(await response.arrayBuffer());
  }
  const parts: Uint8Array[] = [];
  const reader = response.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    meter.add(part.value.length);
  }
  return joined(parts);
}

/**
 * Fetch a JSON document of this page.
 *
 * @throws Error - it cannot be had, or is no JSON.
 */
export async function downloadJson(url: string): Promise<unknown> {
  return (await request(url)).json();
}

async function request(url: string): Promise<Response> {
  const response = await fetch(url).catch((error: unknown) => {
    throw new Error(`expected ${url}, it cannot be reached: ${String(error)}`);
  });
  if (!response.ok) {
    throw new Error(`expected ${url}, the server says ${response.status}`);
  }
  return response;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
