/** What has come once is kept for the time without a network, so that it comes once. */

/**
 * The name of a cache. Other folders of the same server may hold other builds.
 * @param base the folder's address
 * @param part the version of a build; "first" is what was loaded before there was a service worker,
 *   which moves it into its own
 */
export function cacheName(base: string, part: string): string {
  return `nptables-playground ${new URL(base).pathname} ${part}`;
}

/** Keeps an answer of the server. Where the browser refuses, it is loaded again some day. */
export async function keep(base: string, address: string, response: Response): Promise<void> {
  try {
    if (await caches.match(address)) await response.body?.cancel();
    else await (await caches.open(cacheName(base, "first"))).put(address, response);
  } catch {
    await response.body?.cancel().catch(() => undefined);
  }
}
