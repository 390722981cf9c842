/** Answers from what was kept of this folder, so that the page works without a network. */

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

const PREFIX = "nptables-playground";
const CACHE = `${PREFIX}-${VERSION}`;
const scope = new URL("./", self.location.href);
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
    const kept = address.includes("/assets/") ? await caches.match(address) : undefined;
    if (kept) await cache.put(address, kept);
    else
      await cache.add(
        new Request(address, { cache: address.includes("/assets/") ? "default" : "no-cache" }),
      );
  }
}

/** Caches of earlier builds; other pages of the same server keep theirs. */
async function tidy(): Promise<void> {
  const names = await caches.keys();
  const scoped = names.filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  await Promise.all(scoped.map((name) => caches.delete(name)));
}

async function answer(address: string, request: Request): Promise<Response> {
  const kept = await caches.match(address, { cacheName: CACHE });
  return kept ?? fetch(request);
}
