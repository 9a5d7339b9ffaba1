/**
 * What a browser still holds of calls that are over: words and a result that the service never got, because the connection was gone and
 * the page with it. Given to the ticket and to the call when the desk is opened again.
 */
import { addTicketNote, setResult } from "@/api/endpoints";
import { asProblem } from "@/api/problem";

import type { Stored } from "./useNote";

const KINDS = ["note", "result"] as const;
/** A result that the service has refused, and will again. Words are never given up. */
const REFUSED = [404, 409, 422];

export function leftOver(agentId: number, openCalls: number[]): string[] {
  const keys = Array.from({ length: localStorage.length }, (_, index) => localStorage.key(index) ?? "");
  return keys.filter((key) => {
    const [, kind, call] = new RegExp(`^ringdesk\\.(\\w+)\\.${agentId}\\.(\\d+)$`).exec(key) ?? [];
    return KINDS.some((each) => each === kind) && !openCalls.includes(Number(call));
  });
}

/** Returns how many notes have reached their tickets. */
export async function sendLeftOver(keys: string[]): Promise<number> {
  const sent = await Promise.all(keys.map(send));
  return sent.filter(Boolean).length;
}

async function send(key: string): Promise<boolean> {
  const [kind, , call] = key.split(".").slice(1);
  // Out of the store first: another window of the same person finds nothing to send a second time.
  const text = localStorage.getItem(key) ?? "null";
  localStorage.removeItem(key);
  try {
    return kind === "note" ? await sendNote(JSON.parse(text) as Stored | null) : await sendResult(Number(call), text);
  } catch (cause) {
    const isRefused = kind === "result" && REFUSED.includes(asProblem(cause).status);
    if (!isRefused) localStorage.setItem(key, text);
    return false;
  }
}

async function sendNote(note: Stored | null): Promise<boolean> {
  if (!note || note.body.trim() === "") return false;
  await addTicketNote(note.ticket, note.body);
  return true;
}

async function sendResult(call: number, text: string): Promise<boolean> {
  const result = JSON.parse(text) as { key: string | null } | null;
  if (result?.key) await setResult(call, result.key);
  return false;
}
