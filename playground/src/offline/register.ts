/** Keeps this folder's files in the browser, so that the page works without a network. */

/** Once the page is there, so that it comes first; where a browser cannot do it, nothing is lost. */
export async function keepOffline(): Promise<boolean> {
  if (!("serviceWorker" in navigator)) return false;
  try {
    await navigator.serviceWorker.register(new URL("service-worker.js", document.baseURI));
    await navigator.serviceWorker.ready;
    return true;
  } catch {
    return false;
  }
}
