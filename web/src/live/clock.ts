/**
 * The server's clock as seen from this browser.
 *
 * Every message that carries a server time was sent a little earlier than it is read, so the largest difference
 * among the recent ones is the closest to the truth.
 */
const KEPT = 12;
const observed: number[] = [];

export function observeServerTime(iso: string): void {
  const difference = Date.parse(iso) - Date.now();
  if (Number.isNaN(difference)) return;
  observed.push(difference);
  if (observed.length > KEPT) observed.shift();
}

export function serverOffset(): number {
  return observed.length === 0 ? 0 : Math.max(...observed);
}

export function serverNow(): number {
  return Date.now() + serverOffset();
}
