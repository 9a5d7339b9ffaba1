/** What the call log shows is its address: a list can be sent to a colleague as a link. */
export interface CallsSearch {
  view?: View;
  direction?: Direction;
  outcome?: OutcomeFilter;
  state?: "going_on";
  queue?: string;
  agent?: number;
  customer?: number;
  number?: string;
  /** Days, as the person's own calendar has them. */
  from?: string;
  to?: string;
  owner?: "me" | "none";
}

export const VIEWS = ["log", "missed", "done"] as const;
export type View = (typeof VIEWS)[number];
export const DIRECTIONS = ["inbound", "outbound", "internal"] as const;
export type Direction = (typeof DIRECTIONS)[number];
export const OUTCOMES = [
  "answered", "abandoned_queue", "abandoned_ivr", "abandoned_ringing", "unanswered", "voicemail", "after_hours", "deflected", "forwarded", "rejected_blocked",
  "failed", "unknown",
] as const;
export type OutcomeFilter = (typeof OUTCOMES)[number];

export function parseCallsSearch(search: Record<string, unknown>): CallsSearch {
  const text = (value: unknown) =>
    (typeof value === "string" || typeof value === "number") && String(value).length <= 64 && value !== ""
      ? String(value)
      : undefined;
  const id = (value: unknown) => (Number.isSafeInteger(Number(value)) && Number(value) > 0 ? Number(value) : undefined);
  const day = (value: unknown) => (typeof value === "string" && /^\d{4}-\d\d-\d\d$/.test(value) ? value : undefined);
  return {
    view: VIEWS.find((view) => view === search.view),
    direction: DIRECTIONS.find((direction) => direction === search.direction),
    outcome: OUTCOMES.find((outcome) => outcome === search.outcome),
    state: search.state === "going_on" ? "going_on" : undefined,
    queue: text(search.queue),
    agent: id(search.agent),
    customer: id(search.customer),
    number: text(search.number),
    from: day(search.from),
    to: day(search.to),
    owner: search.owner === "me" || search.owner === "none" ? search.owner : undefined,
  };
}
