/** The page of figures is its address: period, reading and the opened number can be sent to a colleague as a link. */
export interface FiguresSearch {
  period?: Period;
  reading?: Reading;
  /** The number that is open, and of which queue; of all together without one. */
  metric?: string;
  queue?: string;
}

export const PERIODS = ["today", "half_hour", "yesterday", "week"] as const;
export type Period = (typeof PERIODS)[number];

export const READINGS = [
  "service_level",
  "service_level_answered",
  "service_level_left",
  "service_level_60",
  "service_level_not_short",
  "service_level_offered",
] as const;
export type Reading = (typeof READINGS)[number];

export function parseFiguresSearch(search: Record<string, unknown>): FiguresSearch {
  const key = (value: unknown) => (typeof value === "string" && /^[\w-]{1,64}$/.test(value) ? value : undefined);
  return {
    period: PERIODS.find((period) => period === search.period),
    reading: READINGS.find((reading) => reading === search.reading),
    metric: key(search.metric),
    queue: key(search.queue),
  };
}

export interface Stretch {
  from?: string;
  to?: string;
}

const QUARTER_MS = 15 * 60_000;

/** What the service is asked for a period. Days are sent as days, so that each queue answers for its own. */
export function stretchOf(period: Period, now: number): Stretch {
  const day = (ago: number) => {
    const today = new Date(now);
    const date = new Date(today.getFullYear(), today.getMonth(), today.getDate() - ago);
    const two = (value: number) => String(value).padStart(2, "0");
    return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  };
  switch (period) {
    case "today":
      return {};
    case "half_hour":
      // The quarter that runs and the one before.
      return { from: new Date(Math.floor(now / QUARTER_MS) * QUARTER_MS - QUARTER_MS).toISOString() };
    case "yesterday":
      return { from: day(1), to: day(0) };
    case "week":
      return { from: day(6) };
  }
}
