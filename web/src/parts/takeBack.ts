import { serverNow } from "@/live/clock";

import { showAct } from "./acts";

const UNDO_MS = 10_000;

/** Says what was just done, with the way back for ten seconds. */
export function showDone(text: string, run: () => Promise<unknown>): void {
  showAct({ text, undo: { until: new Date(serverNow() + UNDO_MS).toISOString(), run } });
}
