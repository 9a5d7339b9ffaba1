/** What a supervisor has just done, until it can no longer be undone: one at a time, the newest. */
import type { UndoHandle } from "@/api/types";

export interface Act {
  text: string;
  /** It went wrong: says why. */
  isFault?: boolean;
  undo?: UndoHandle | UndoByItself;
}

/** An act that knows by itself how it is taken back. */
export interface UndoByItself {
  until: string;
  run: () => Promise<unknown>;
}

const listeners = new Set<() => void>();
let current: Act | null = null;

export function showAct(act: Act | null): void {
  current = act;
  listeners.forEach((listener) => listener());
}

/** Takes it off the page, unless something newer stands there. */
export function dismissAct(act: Act): void {
  if (current === act) showAct(null);
}

export function subscribeActs(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function currentAct(): Act | null {
  return current;
}
