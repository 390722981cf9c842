/** Answers from what was kept of this folder, so that the page works without a network. */

import { cacheName } from "./keeping";

/** Written in by the build: the addresses of all files, and what tells this build from others. */
declare const FILES: readonly string[];
declare const VERSION: string;

interface Extendable extends Event {
  waitUntil(promise: Promise<unknown>): void;
}
interface Fetching extends Extendable {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}

const scope = new URL("./", self.location.href);
const CACHE = cacheName(scope.href, VERSION);
const addresses = new Set(FILES.map((name) => new URL(name, scope).href));

self.addEventListener("install", (event) => (event as Extendable).waitUntil(fill()));
self.addEventListener("activate", (event) => (event as Extendable).waitUntil(tidy()));
self.addEventListener("fetch", (event) => {
  const fetching = event as Fetching;
  const { request } = fetching;
  const address = new URL(request.url);
  address.hash = address.search = "";
  if (address.href === new URL("index.html", scope).href) address.href = scope.href;
  if (request.method === "GET" && addresses.has(address.href)) {
    fetching.respondWith(answer(address.href, request));
  }
});

async function fill(): Promise<void> {
  const cache = await caches.open(CACHE);
  for (const address of addresses) {
    // What has a hash in its name is right wherever it was kept before.
    const hashed = address.includes("/assets/");
    const kept = hashed ? await caches.match(address) : undefined;
    if (kept) await cache.put(address, kept);
    else await cache.add(new Request(address, { cache: hashed ? "default" : "no-cache" }));
  }
}

/** Caches of earlier builds in this folder. */
async function tidy(): Promise<void> {
  const names = await caches.keys();
  const earlier = names.filter(
    (name) => name.startsWith(cacheName(scope.href, "")) && name !== CACHE,
  );
  await Promise.all(earlier.map((name) => caches.delete(name)));
}

async function answer(address: string, request: Request): Promise<Response> {
  const kept = await caches.match(address, { cacheName: CACHE });
  return kept ?? fetch(request);
}
