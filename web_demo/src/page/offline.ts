/** Keeps the page for use without a network. */

/**
 * Register the service worker, which keeps all files.
 *
 * @returns whether they are kept now; false where the browser cannot or does not want to.
 */
export async function keepOffline(): Promise<boolean> {
  if (!("serviceWorker" in navigator)) {
    return false;
  }
  try {
    await navigator.serviceWorker.register(new URL("sw.js", document.baseURI));
    await navigator.serviceWorker.ready;
    return true;
  } catch {
    return false; // private windows, no space left: the page works all the same while there is a net
  }
}
