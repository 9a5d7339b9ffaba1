import type { Figure, Metric } from "@/api/types";
import { clock } from "@/format/time";

/** Nothing to say is a dash, never 0. */
export const NOTHING = "—";

/** 80 → "80.0 %", 16.7 → "16.7 s", 130 → "2:10", 1204 → "1,204". */
export function shownValue(unit: Metric["unit"], value: number | null, language: string): string {
  if (value === null) return NOTHING;
  if (unit === "percent") return `${value === 100 ? "100" : value.toFixed(1)} %`;
  return unit === "seconds" ? shownSeconds(value) : new Intl.NumberFormat(language).format(value);
}

export function shownSeconds(seconds: number): string {
  return seconds < 59.95 ? `${Number(seconds.toFixed(1))} s` : clock(Math.round(seconds));
}

/** "8 ÷ 10" for what was divided; null where nothing was. */
export function shownParts(metric: Metric, figure: Figure, language: string): string | null {
  if (metric.denominator.length === 0 || figure.denominator === null || figure.numerator === null) return null;
  return `${shownPart(metric.numerator, figure.numerator, language)} ÷ ${shownPart(metric.denominator, figure.denominator, language)}`;
}

/** A sum: of times, or of contacts. */
export function shownPart(measures: string[], value: number, language: string): string {
  return isTime(measures) ? shownSeconds(value) : new Intl.NumberFormat(language).format(value);
}

export function isTime(measures: string[]): boolean {
  return measures[0]?.endsWith("_us") === true;
}
