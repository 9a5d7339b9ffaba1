/** The simulator's journal: what it asked, was answered and was asked over REST. Kept here up to a limit, the newest last. */
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";

import { type DemoCall, journalSince, liveCalls } from "./demoApi";

export interface Entry {
  n: number;
  at: string;
  kind: string;
  sid?: string | null;
  url?: string;
  method?: string;
  path?: string;
  fields?: Record<string, string>;
  facts?: Record<string, string>;
  status?: number | string;
  took_s?: number;
  answer?: string;
  error?: string;
  event?: string;
  verb?: string;
  text?: string;
  name?: string;
  fault?: string;
  why?: string;
  code?: number;
  direction?: string;
  from?: string;
  to?: string;
}

/** What one looks for, and the journal's words for it. */
export const GROUPS = {
  asked: ["webhook"],
  told: ["callback"],
  rest: ["rest"],
  heard: ["heard"],
  states: ["call", "conference", "queue"],
  faults: ["fault", "error"],
} as const;
export type Group = keyof typeof GROUPS;
export const ALL_GROUPS = Object.keys(GROUPS) as Group[];

export const READ_EVERY_MS = 1000;
const KEPT = 500;
const FIRST = 200;
const UNFINISHED_WITHIN = 100;

export function groupOf(entry: Entry): Group {
  return ALL_GROUPS.find((group) => (GROUPS[group] as readonly string[]).includes(entry.kind)) ?? "states";
}

/** A request is written down when it goes and completed when it is answered: then it is read again under its number. */
export function merged(before: Entry[], read: Entry[]): Entry[] {
  const first = read.at(0)?.n;
  if (first === undefined) return before;
  return [...before.filter((entry) => entry.n < first), ...read].slice(-KEPT);
}

/** From where to read on: after the last, or from the first of the latest that is not answered yet. */
export function nextSince(entries: Entry[]): number {
  const last = entries.at(-1)?.n ?? 0;
  const open = entries.find(
    (entry) => entry.n > last - UNFINISHED_WITHIN && entry.url !== undefined && entry.took_s === undefined && isRequest(entry),
  );
  return open ? open.n - 1 : last;
}

function isRequest(entry: Entry): boolean {
  return entry.kind === "webhook" || entry.kind === "callback";
}

export function isAbout(entry: Entry, sid: string): boolean {
  return entry.sid === sid || entry.fields?.CallSid === sid || entry.facts?.CallSid === sid;
}

/** The address without scheme and host, and without the fields that a GET carries. */
export function pathOf(entry: Entry): string {
  const url = entry.url ?? entry.path ?? "";
  return url
    .replace(/^https?:\/\/[^/]+/, "")
    .replace(/^.*\/2010-04-01\/Accounts\/\w+/, "")
    .replace(/^(.{80}).+$/, "$1…");
}

/** TwiML with a line for each verb. */
export function indented(xml: string): string {
  let depth = 0;
  return xml
    .replace(/>\s*</g, ">\n<")
    .split("\n")
    .map((line) => {
      if (line.startsWith("</")) depth -= 1;
      const shown = "  ".repeat(Math.max(0, depth)) + line;
      if (/^<[^/?!]/.test(line) && !line.includes("</") && !line.endsWith("/>")) depth += 1;
      return shown;
    })
    .join("\n");
}

export function useJournal(isPaused: boolean): { entries: Entry[]; error: unknown } {
  const [entries, setEntries] = useState<Entry[]>([]);
  const [error, setError] = useState<unknown>(null);
  const known = useRef<Entry[]>([]);
  useEffect(() => {
    if (isPaused) return;
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const read = async () => {
      try {
        const since = known.current.length === 0 ? Math.max(0, (await journalSince(0, 0)).next - FIRST) : nextSince(known.current);
        const { items } = await journalSince(since, KEPT);
        if (stop.signal.aborted) return;
        known.current = merged(known.current, items);
        setEntries(known.current);
        setError(null);
      } catch (cause) {
        if (!stop.signal.aborted) setError(cause);
      }
      if (!stop.signal.aborted) timer = setTimeout(() => void read(), READ_EVERY_MS);
    };
    void read();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [isPaused]);
  return { entries, error };
}

export function useLiveCalls(): DemoCall[] {
  const { data } = useQuery({ queryKey: ["demo", "live"], queryFn: liveCalls, refetchInterval: READ_EVERY_MS, retry: false });
  return data?.items ?? [];
}
