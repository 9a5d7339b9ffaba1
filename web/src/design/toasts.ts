/** Short news at the edge of the page. What must not be missed is also written somewhere that stays. */
import type { Tone } from "@/design/Chip";

export interface Toast {
  /** The same id again replaces what it said before. */
  id: string;
  tone: Tone;
  title: string;
  text?: string;
}

const SHOWN_MS = 8000;
const KEPT = 4;
const listeners = new Set<() => void>();
const timers = new Map<string, ReturnType<typeof setTimeout>>();
let toasts: readonly Toast[] = [];

function set(next: readonly Toast[]): void {
  toasts = next;
  listeners.forEach((listener) => listener());
}

export function showToast(toast: Toast): void {
  clearTimeout(timers.get(toast.id));
  timers.set(
    toast.id,
    setTimeout(() => dismissToast(toast.id), SHOWN_MS),
  );
  set([...toasts.filter(({ id }) => id !== toast.id), toast].slice(-KEPT));
}

export function dismissToast(id: string): void {
  clearTimeout(timers.get(id));
  timers.delete(id);
  set(toasts.filter((toast) => toast.id !== id));
}

export function subscribeToasts(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function currentToasts(): readonly Toast[] {
  return toasts;
}
