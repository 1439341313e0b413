/** Serves the build on this computer, with a way for the page to fetch and store test frames. */

import { closeSync, openSync, readFileSync, readSync, writeSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const DIST = fileURLToPath(new URL("../../dist/", import.meta.url));
const TYPES: Readonly<Record<string, string>> = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".json": "application/json",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
  ".webmanifest": "application/manifest+json",
};

/** A file of frames of equal size that the page reads from or writes to. */
export interface FrameFile {
  readonly file: string;
  readonly frameBytes: number;
}

/** The server; close it to take the network away. */
export class PageServer {
  /** Requests so far: method and path. */
  readonly requests: string[] = [];
  /** Replies that are to be other than the file: by path. */
  readonly replaced = new Map<string, Buffer>();
  /** Frames for `/frames/N` to read. */
  frames: FrameFile | null = null;
  /** Where frames posted to `/recorded/N` go. */
  recorded: FrameFile | null = null;
  #server: Server | null = null;

  /** Start; returns the page's address. */
  async start(): Promise<string> {
    const server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        response.writeHead(500).end(String(error));
      });
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  }

  /** Stop, open connections included. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server !== null) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? "/", "http://localhost").pathname;
    this.requests.push(`${request.method ?? ""} ${path}`);
    const [, kind, number] = /^\/(frames|recorded)\/(\d+)$/.exec(path) ?? [];
    if (kind === "frames" && this.frames !== null) {
      response.end(readFrame(this.frames, Number(number)));
    } else if (kind === "recorded" && this.recorded !== null) {
      await storeFrame(this.recorded, Number(number), request);
      response.end();
    } else {
      this.#sendFile(path, response);
    }
  }

  #sendFile(path: string, response: ServerResponse): void {
    const name = path === "/" ? "/index.html" : normalize(path);
    try {
      const body = this.replaced.get(path) ?? readFileSync(join(DIST, name));
      const type = TYPES[extname(name)] ?? "application/octet-stream";
      response.writeHead(200, { "content-type": type, "cache-control": "no-cache" }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  }
}

/** One frame of a file. */
export function readFrame({ file, frameBytes }: FrameFile, index: number): Buffer {
  const frame = Buffer.alloc(frameBytes);
  const source = openSync(file, "r");
  readSync(source, frame, 0, frameBytes, index * frameBytes);
  closeSync(source);
  return frame;
}

async function storeFrame(
  { file, frameBytes }: FrameFile,
  index: number,
  request: IncomingMessage,
): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of request) {
    parts.push(part as Buffer);
  }
  const target = openSync(file, index === 0 ? "w" : "r+");
  writeSync(target, Buffer.concat(parts), 0, frameBytes, index * frameBytes);
  closeSync(target);
}
