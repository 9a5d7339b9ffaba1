/** Whom somebody is about to call: the dial box shows it, wherever it was asked for. */
import type { Problem } from "@/api/problem";
import type { NewCall } from "@/api/types";

export interface Dialling {
  call: NewCall;
  /** Who that is, for the eye. */
  name?: string;
  /** It was tried, and refused. */
  problem?: Problem;
}

const listeners = new Set<() => void>();
let current: Dialling | null = null;

export function openDial(dialling: Dialling | null): void {
  current = dialling;
  listeners.forEach((listener) => listener());
}

export function subscribeDial(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function currentDial(): Dialling | null {
  return current;
}
