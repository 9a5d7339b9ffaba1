/** How strong the colours stand against each other: as the system asks, unless this browser has chosen. */
import { useSyncExternalStore } from "react";

export type Contrast = "system" | "standard" | "high";

const STORED = "ringdesk.contrast";
const MORE = "(prefers-contrast: more)";
const listeners = new Set<() => void>();

export function contrastChosen(): Contrast {
  const stored = localStorage.getItem(STORED);
  return stored === "standard" || stored === "high" ? stored : "system";
}

function apply(): void {
  const chosen = contrastChosen();
  const isHigh = chosen === "high" || (chosen === "system" && globalThis.matchMedia(MORE).matches);
  if (isHigh) document.documentElement.setAttribute("data-contrast", "high");
  else document.documentElement.removeAttribute("data-contrast");
}

/** Before the first paint, and whenever the system changes its mind. */
export function startContrast(): void {
  apply();
  globalThis.matchMedia(MORE).addEventListener("change", apply);
}

export function setContrast(contrast: Contrast): void {
  if (contrast === "system") localStorage.removeItem(STORED);
  else localStorage.setItem(STORED, contrast);
  apply();
  listeners.forEach((listener) => listener());
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useContrast(): Contrast {
  return useSyncExternalStore(subscribe, contrastChosen);
}
