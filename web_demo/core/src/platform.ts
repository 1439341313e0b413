/**
 * The two globals that this package takes from its platform. Browsers, workers, Node.js, Deno and
 * Bun have both; neither belongs to the DOM.
 */

declare const performance: { now(): number };
declare const crypto:
  | { readonly subtle?: { digest(name: string, data: Uint8Array): Promise<ArrayBuffer> } }
  | undefined;

/** A clock that never goes back, milliseconds. */
export function nowMs(): number {
  return performance.now();
}

/**
 * SHA-256 of bytes, lower-case hexadecimal.
 *
 * @returns null where the platform has no WebCrypto: browsers hide it on pages without HTTPS.
 */
export async function sha256(bytes: Uint8Array): Promise<string | null> {
  if (crypto?.subtle === undefined) {
    return null;
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
