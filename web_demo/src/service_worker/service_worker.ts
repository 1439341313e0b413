/**
 * Keeps the page for use without a network: all files of the build, fetched once after the first
 * load. The build writes their list, with hashes, so that a new build is a new version.
 */

interface Precache {
  /** Hash of all files. */
  readonly version: string;
  /** Addresses relative to this script. */
  readonly files: readonly string[];
}

const scope = self as unknown as ServiceWorkerGlobalScope;
const PRECACHE = JSON.parse("__PRECACHE__") as Precache;
const PREFIX = "atpn-";
const CACHE = PREFIX + PRECACHE.version;

scope.addEventListener("install", (event) => {
  event.waitUntil(install());
});

scope.addEventListener("activate", (event) => {
  event.waitUntil(activate());
});

scope.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method === "GET" && new URL(request.url).origin === scope.location.origin) {
    event.respondWith(fromCache(request));
  }
});

async function install(): Promise<void> {
  const cache = await caches.open(CACHE);
  for (const file of PRECACHE.files) {
    // "no-cache": ask whether what the browser holds is current; what the page has just loaded is
    // not downloaded twice.
    const response = await fetch(file, { cache: "no-cache" });
    if (!response.ok) {
      throw new Error(`expected ${file}, the server says ${response.status}`);
    }
    await cache.put(file, response);
  }
  await scope.skipWaiting();
}

async function activate(): Promise<void> {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
  await scope.clients.claim();
}

async function fromCache(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  const wanted = request.mode === "navigate" ? "./" : request;
  const kept = await cache.match(wanted, { ignoreSearch: true });
  if (kept !== undefined) {
    return kept;
  }
  const response = await fetch(request);
  if (response.ok && new URL(request.url).pathname.endsWith(".wasm")) {
    await cache.put(request, response.clone()); // the engine for the GPU, for those who chose it
  }
  return response;
}
