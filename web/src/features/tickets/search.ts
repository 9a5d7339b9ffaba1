import type { TicketFilter } from "@/api/endpoints";
import type { Priority, TicketQuery, TicketState } from "@/api/types";

/** The ticket list's filters are its address: a view can be sent to a colleague as a link. */
export interface TicketSearch {
  view?: View;
  queue?: string;
  q?: string;
  state?: TicketState[];
  priority?: Priority[];
  /** "me", "none" or somebody's id. */
  assignee?: string;
  tag?: string;
}

export const VIEWS = ["mine", "unassigned", "open", "all"] as const;
export type View = (typeof VIEWS)[number];
export const STATES: TicketState[] = [
  "new",
  "open",
  "pending_customer",
  "pending_third_party",
  "pending_until",
  "resolved",
  "closed",
  "merged",
];
export const PRIORITIES: Priority[] = ["low", "normal", "high", "urgent"];

function among<Word extends string>(words: readonly Word[], value: unknown): Word[] | undefined {
  const given: unknown[] = Array.isArray(value) ? value : [value];
  const known = words.filter((word) => given.includes(word));
  return known.length === 0 ? undefined : known;
}

export function parseTicketSearch(search: Record<string, unknown>): TicketSearch {
  const text = (value: unknown): string | undefined =>
    typeof value === "string" || typeof value === "number" ? String(value) : undefined;
  const assignee = text(search.assignee);
  return {
    view: VIEWS.find((view) => view === search.view),
    queue: text(search.queue),
    q: text(search.q),
    state: among(STATES, search.state),
    priority: among(PRIORITIES, search.priority),
    assignee: assignee !== undefined && /^(me|none|\d{1,18})$/.test(assignee) ? assignee : undefined,
    tag: text(search.tag)?.slice(0, 40),
  };
}

const OPEN: TicketState[] = ["open"];

/** What the service is asked for a list. "open" alone stands for every open category; what is chosen goes before what the view means. */
export function filterOf({ view = "mine", queue, q, state, priority, assignee, tag }: TicketSearch): TicketFilter {
  return {
    state: state ?? (view === "all" ? undefined : OPEN),
    assignee: assignee ?? (view === "mine" ? "me" : view === "unassigned" ? "none" : undefined),
    priority,
    queue,
    tag,
    q,
  };
}

/** The same list as a view keeps it, without its place in the menu. */
export function queryOf(search: TicketSearch): TicketQuery {
  const { state, assignee, priority, queue, tag, q } = filterOf(search);
  const given = Object.entries({ state, assignee, priority, queue, tag, q }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given);
}

/** The address of a saved view. */
export function searchOf(query: TicketQuery): TicketSearch {
  const given = Object.entries(query).filter(([, value]) => value !== null);
  return parseTicketSearch({ view: "all", ...Object.fromEntries(given) });
}

export function isSameList(a: TicketSearch, b: TicketSearch): boolean {
  const sorted = (search: TicketSearch) =>
    JSON.stringify(Object.entries(queryOf(search)).sort(([x], [y]) => x.localeCompare(y)));
  return sorted(a) === sorted(b);
}
