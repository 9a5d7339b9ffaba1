import { useSyncExternalStore } from "react";

import { serverNow } from "@/live/clock";

const TICK_MS = 250;
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;
let now = 0;

function read(): number {
  if (timer === undefined) now = Math.floor(serverNow() / TICK_MS) * TICK_MS;
  return now;
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  now = serverNow();
  timer ??= setInterval(() => {
    now = serverNow();
    listeners.forEach((each) => each());
  }, TICK_MS);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

/** The server's time, fresh each second; all clocks on the page tick together. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => Math.floor(read() / 1000) * 1000);
}

/** As `useNow`, four times a second: only for a bar that moves. */
export function useFineNow(): number {
  return useSyncExternalStore(subscribe, read);
}

/** 7 → "0:07", 130 → "2:10", 3730 → "1:02:10". Never negative. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (value: number) => String(value).padStart(2, "0");
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

export function secondsSince(iso: string, at: number): number {
  return Math.max(0, (at - Date.parse(iso)) / 1000);
}

export function secondsUntil(iso: string, at: number): number {
  return Math.max(0, (Date.parse(iso) - at) / 1000);
}

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
];

/** "5 minutes ago", in the given language. */
export function ago(iso: string, at: number, language: string): string {
  const seconds = (Date.parse(iso) - at) / 1000;
  const format = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return format.format(Math.trunc(seconds / size), unit);
  }
  return format.format(0, "second");
}

export function dateTime(iso: string, language: string): string {
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(iso));
}

export function timeOfDay(iso: string, language: string, withSeconds = false): string {
  return new Intl.DateTimeFormat(language, { timeStyle: withSeconds ? "medium" : "short" }).format(new Date(iso));
}

export function monthOf(iso: string, language: string): string {
  return new Intl.DateTimeFormat(language, { month: "short", year: "numeric" }).format(new Date(iso));
}

/** What a clock on the caller's wall shows. */
export function timeIn(zone: string, at: number, language: string): string {
  return new Intl.DateTimeFormat(language, { timeStyle: "short", timeZone: zone }).format(at);
}

/** The first moment of a day, `after` days later, where this person is. */
export function startOf(day: string, after = 0): string | undefined {
  const [year = 0, month = 1, date = 1] = day.split("-").map(Number);
  const moment = new Date(year, month - 1, date + after);
  return Number.isNaN(moment.getTime()) ? undefined : moment.toISOString();
}
