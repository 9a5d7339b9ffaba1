/**
 * What makes a ringing call heard and seen outside of this page: a tone on the device that the agent chose, a notification of the desktop.
 *
 * Settings belong to the agent and this browser: devices have other names elsewhere. One window rings, however many are open.
 */

export interface RingSettings {
  isOn: boolean;
  /** 0 to 1. */
  volume: number;
  /** Of `enumerateDevices`; "" is what the system uses. */
  deviceId: string;
  notifies: boolean;
  /** When the agent last went through the check, ISO. */
  checkedAt: string | null;
}
export const USUAL: RingSettings = { isOn: true, volume: 0.6, deviceId: "", notifies: true, checkedAt: null };
/** `silent`: this browser has no sound at all. */
export type Heard = "playing" | "blocked" | "no-device" | "silent";

const keyOf = (agentId: number) => `ringdesk.ring.${agentId}`;
const LOCK = "ringdesk-ring";
const QUIET = 0.15;
/** As telephones ring: 440 and 480 Hz for one second, two seconds of silence. */
const SOUND = "/assets/ring.wav";
const listeners = new Set<() => void>();
const known = new Map<number, RingSettings>();
let isBlocked = false;
let isChecking = false;

export function subscribeRing(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
const changed = () => listeners.forEach((listener) => listener());

export function ringSettings(agentId: number): RingSettings {
  const found = known.get(agentId);
  if (found) return found;
  let stored: Partial<RingSettings> = {};
  try {
    stored = JSON.parse(localStorage.getItem(keyOf(agentId)) ?? "{}") as Partial<RingSettings>;
  } catch {
    // Whatever stood there, the usual settings are right.
  }
  const settings = { ...USUAL, ...stored };
  known.set(agentId, settings);
  return settings;
}

export function setRing(agentId: number, change: Partial<RingSettings>): void {
  const settings = { ...ringSettings(agentId), ...change };
  known.set(agentId, settings);
  localStorage.setItem(keyOf(agentId), JSON.stringify(settings));
  changed();
}

/** The browser lets no sound out until somebody clicks; said on the page while it is so. */
export const isRingBlocked = () => isBlocked;
export const isCheckOpen = () => isChecking;
export function openCheck(isOpen: boolean): void {
  isChecking = isOpen;
  changed();
}

let tone: HTMLAudioElement | null = null;

function audio(): HTMLAudioElement {
  if (tone) return tone;
  tone = new Audio(SOUND);
  tone.loop = true;
  return tone;
}

/** Rings until `stopRinging`. Quietly while the agent talks to somebody. */
export async function startRinging({ volume, deviceId }: RingSettings, isQuiet = false): Promise<Heard> {
  if (typeof Audio === "undefined") return "silent";
  const player = audio();
  player.volume = Math.min(1, volume) * (isQuiet ? QUIET : 1);
  let heard: Heard = "playing";
  try {
    await player.setSinkId(deviceId);
  } catch {
    heard = "no-device"; // unplugged since: better on another device than not at all
    await player.setSinkId("").catch(() => undefined);
  }
  try {
    await player.play();
    isBlocked = false;
  } catch (cause) {
    const name = (cause as DOMException).name;
    if (name === "AbortError") return heard; // stopped before it began
    isBlocked = name === "NotAllowedError";
    heard = isBlocked ? "blocked" : "no-device";
  }
  changed();
  return heard;
}

export function stopRinging(): void {
  if (!tone) return;
  tone.pause();
  tone.currentTime = 0;
}

/** In one window only: whoever has the lock rings until `until` ends. */
export function ringHere(settings: RingSettings, isQuiet: boolean, until: AbortSignal): void {
  const ring = async () => {
    if (until.aborted) return;
    await startRinging(settings, isQuiet);
    await new Promise<void>((resolve) => {
      if (until.aborted) resolve();
      until.addEventListener("abort", () => resolve());
    });
    stopRinging();
  };
  const locks = globalThis.navigator.locks as LockManager | undefined;
  if (locks) void locks.request(LOCK, { signal: until }, ring).catch(() => undefined);
  else void ring();
}

export function canNotify(): NotificationPermission | "none" {
  return typeof Notification === "undefined" ? "none" : Notification.permission;
}

/** While nobody looks at this page; a click brings it to the front. Returns how to take it away. */
export function notify(tag: string, title: string, body: string): () => void {
  if (canNotify() !== "granted" || document.hasFocus()) return () => undefined;
  const shown = new Notification(title, { tag, body, requireInteraction: true, icon: "/assets/icon.svg" });
  shown.addEventListener("click", () => {
    globalThis.focus();
    shown.close();
  });
  return () => shown.close();
}
