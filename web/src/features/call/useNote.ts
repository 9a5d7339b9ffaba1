/**
 * The note of one call: saved two seconds after the first unsaved stroke, kept in this browser until the service has
 * it, and never replaced under the writer's hands.
 */
import { useCallback, useEffect, useRef, useState } from "react";

import { saveNote } from "@/api/endpoints";
import { asProblem } from "@/api/problem";
import type { CallNote } from "@/api/types";

const SAVE_AFTER_MS = 2000;
const RETRY_MS = 5000;

export type NoteState = "saved" | "dirty" | "saving" | "failed" | "conflict";

export interface NoteDraft {
  body: string;
  state: NoteState;
  savedAt: string | null;
  /** What somebody else (or another window) wrote meanwhile, while `state` is "conflict". */
  theirs: string | null;
  write: (body: string) => void;
  save: () => void;
  resolve: (keep: "mine" | "theirs" | "both") => void;
  /** The service kept these words with the result, during the call: they are its next version. */
  kept: (body: string) => void;
  /** The words are on their way with the result: nothing is saved beside that until `resume`. */
  pause: () => void;
  resume: () => void;
  /** The call is finished and took the note with it. Works also after the field is gone. */
  forget: () => void;
}

export interface Stored {
  body: string;
  version: number;
  /** Where the words belong if the call is over before the service has them. */
  ticket: number;
}

export const draftKey = (agentId: number, callId: number) => `ringdesk.note.${agentId}.${callId}`;

function restore(key: string): Stored | null {
  try {
    return JSON.parse(localStorage.getItem(key) ?? "null") as Stored | null;
  } catch {
    return null;
  }
}

interface Held {
  body: string;
  state: NoteState;
  theirs: CallNote | null;
  base: CallNote;
}

function open(key: string, note: CallNote): Held {
  const stored = restore(key);
  if (!stored || stored.body === note.body) return { body: note.body, state: "saved", theirs: null, base: note };
  if (stored.version === note.version) return { body: stored.body, state: "dirty", theirs: null, base: note };
  return { body: stored.body, state: "conflict", theirs: note, base: note };
}

/**
 * `onLate` gets the words that came too late for the call: it was closed before they could be saved. Where that fails too they stay
 * in this browser, for the next time the desk is opened (`leftOver.ts`).
 */
export function useNote(
  agentId: number,
  callId: number,
  ticketId: number,
  note: CallNote,
  onLate: (body: string) => Promise<unknown>,
): NoteDraft {
  const key = draftKey(agentId, callId);
  const [held, setHeld] = useState<Held>(() => open(key, note));
  const ref = useRef(held);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const inFlight = useRef(false);
  const done = useRef(false);
  const late = useRef(onLate);
  useEffect(() => {
    late.current = onLate;
  });

  const set = useCallback((change: Partial<Held>) => {
    ref.current = { ...ref.current, ...change };
    setHeld(ref.current);
  }, []);

  const save = useCallback(
    async (keepalive = false): Promise<void> => {
      clearTimeout(timer.current);
      timer.current = undefined;
      const { body, base, state } = ref.current;
      if (inFlight.current || state === "saved" || state === "conflict" || done.current) return;
      inFlight.current = true;
      set({ state: "saving" });
      try {
        const saved = await saveNote(callId, body, base.version, keepalive);
        set({ base: { ...saved, body }, state: ref.current.body === body ? "saved" : "dirty" });
        if (ref.current.body === body) localStorage.removeItem(key);
      } catch (cause) {
        const problem = asProblem(cause);
        const current = problem.code === "version_conflict" ? (problem.body.current as CallNote | undefined) : undefined;
        if (problem.status === 404) {
          done.current = true;
          await late.current(body).then(() => localStorage.removeItem(key), () => undefined);
        } else if (!current) set({ state: "failed" });
        else if (current.body === ref.current.body) set({ base: current, state: "saved" });
        else if (current.body === base.body || current.body === body) set({ base: current, state: "dirty" });
        else set({ base: current, theirs: current, state: "conflict" });
      } finally {
        inFlight.current = false;
      }
    },
    [callId, key, set],
  );

  // One timer for all that is unsaved; it starts with the first stroke, so steady typing is saved every two seconds.
  useEffect(() => {
    if (timer.current !== undefined || done.current) return;
    if (held.state === "dirty") timer.current = setTimeout(() => void save(), SAVE_AFTER_MS);
    if (held.state === "failed") timer.current = setTimeout(() => void save(), RETRY_MS);
  }, [held, save]);

  useEffect(() => {
    const { base, state } = ref.current;
    if (note.version <= base.version) return;
    if (state === "saved") set({ base: note, body: note.body });
    else if (note.body === ref.current.body) set({ base: note, state: "saved" });
  }, [note, set]);

  // The call was put to another ticket: so are the words that are still here.
  useEffect(() => {
    const stored = restore(key);
    if (stored && stored.ticket !== ticketId) localStorage.setItem(key, JSON.stringify({ ...stored, ticket: ticketId }));
  }, [key, ticketId]);

  useEffect(() => {
    const leave = () => void save(true);
    globalThis.addEventListener("pagehide", leave);
    return () => {
      globalThis.removeEventListener("pagehide", leave);
      leave();
    };
  }, [save]);

  const write = (body: string) => {
    localStorage.setItem(key, JSON.stringify({ body, version: ref.current.base.version, ticket: ticketId } satisfies Stored));
    set({ body, state: ref.current.state === "conflict" ? "conflict" : "dirty" });
  };

  const resolve: NoteDraft["resolve"] = (keep) => {
    const theirs = ref.current.theirs?.body ?? "";
    const mine = ref.current.body;
    const body = keep === "mine" ? mine : keep === "theirs" ? theirs : `${theirs}\n${mine}`;
    set({ body, theirs: null, state: keep === "theirs" ? "saved" : "dirty" });
    if (keep === "theirs") localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify({ body, version: ref.current.base.version, ticket: ticketId } satisfies Stored));
  };

  const pause = () => {
    done.current = true;
    clearTimeout(timer.current);
    timer.current = undefined;
  };

  const resume = () => {
    done.current = false;
    set({});
  };

  const forget = () => {
    pause();
    localStorage.removeItem(key);
  };

  const kept = (body: string) => {
    const { base, state } = ref.current;
    if (state === "conflict") return;
    set({ base: { ...base, body, version: base.version + 1 }, state: ref.current.body === body ? "saved" : "dirty" });
    if (ref.current.body === body) localStorage.removeItem(key);
  };

  return {
    body: held.body,
    state: held.state,
    savedAt: held.base.saved_at,
    theirs: held.theirs?.body ?? null,
    write,
    save: () => void save(),
    resolve,
    kept,
    pause,
    resume,
    forget,
  };
}
