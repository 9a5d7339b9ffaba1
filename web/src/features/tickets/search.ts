import type { TicketFilter } from "@/api/endpoints";

/** The ticket list's filters are its address: a view can be sent to a colleague as a link. */
export interface TicketSearch {
  view?: View;
  queue?: string;
  q?: string;
}

export const VIEWS = ["mine", "unassigned", "open", "all"] as const;
export type View = (typeof VIEWS)[number];

export function parseTicketSearch(search: Record<string, unknown>): TicketSearch {
  const text = (value: unknown): string | undefined =>
    typeof value === "string" || typeof value === "number" ? String(value) : undefined;
  return {
    view: VIEWS.find((view) => view === search.view),
    queue: text(search.queue),
    q: text(search.q),
  };
}

/** What the service is asked for a view. "open" stands for every open category. */
export function filterOf({ view = "mine", queue, q }: TicketSearch): TicketFilter {
  return {
    state: view === "all" ? undefined : ["open"],
    assignee: view === "mine" ? "me" : view === "unassigned" ? "none" : undefined,
    queue,
    q,
  };
}
