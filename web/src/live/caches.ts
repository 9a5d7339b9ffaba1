/** Which other cached answers an event touches, beside the desk itself. */
import type { QueryClient } from "@tanstack/react-query";

import type { AgentRow, AgentsLive, AgentsTold, Page, QueuesLive, TicketSummary, Viewer, ViewersTold } from "@/api/types";
import type { DeskEvent } from "@/live/protocol";
import { mergeQueues } from "@/live/reduce";

export const QUEUES_LIVE_KEY = ["queues", "live"] as const;
/** Figures that are on the screen. */
export const FIGURES_LIVE_KEY = ["figures", "live"] as const;
export const TICKETS_KEY = ["tickets"] as const;
export const viewersKey = (kind: ViewersTold["kind"], id: number) => ["viewers", kind, id] as const;
export const customerKey = (id: number) => ["customer", id] as const;
export const ticketKey = (id: number | string) => ["ticket", String(id)] as const;

export const AGENTS_LIVE_KEY = ["agents", "live"] as const;

function mergeAgents(known: AgentRow[], { items, gone }: AgentsTold): AgentRow[] {
  const told = new Map(items.map((agent) => [agent.id, agent]));
  const kept = known.filter(({ id }) => !gone.includes(id)).map((agent) => told.get(agent.id) ?? agent);
  const ids = new Set(kept.map(({ id }) => id));
  return [...kept, ...items.filter(({ id }) => !ids.has(id))];
}

export interface Told {
  viewers: Viewer[];
  at: string;
}
interface Pages {
  pages: Page<TicketSummary>[];
}

export function updateCaches(queries: QueryClient, event: DeskEvent): void {
  if (event.type === "queue_stats") {
    queries.setQueryData<QueuesLive>(QUEUES_LIVE_KEY, (known) =>
      known ? { queues: mergeQueues(known.queues, event.data.queues), as_of: event.at } : known,
    );
    // At most once a second. A reading under way goes on: cut off each second, a slow one would never end.
    void queries.invalidateQueries({ queryKey: FIGURES_LIVE_KEY }, { cancelRefetch: false });
  }
  if (event.type === "agents_changed") {
    queries.setQueryData<AgentsLive>(AGENTS_LIVE_KEY, (known) =>
      known && known.as_of <= event.at ? { items: mergeAgents(known.items, event.data), as_of: event.at } : known,
    );
  }
  if (event.type === "viewers") {
    const { kind, id, viewers } = event.data;
    const told: Told = { viewers, at: event.at };
    // Two changes at once may be told in the wrong order.
    queries.setQueryData<Told>(viewersKey(kind, id), (known) => (known && known.at > told.at ? known : told));
  }
  if (event.type === "customer_changed") void queries.invalidateQueries({ queryKey: customerKey(event.data.id) });
  if (event.type === "ticket_changed") {
    const ticket = event.data;
    queries.setQueriesData<Pages>({ queryKey: TICKETS_KEY }, (known) =>
      known ? { ...known, pages: known.pages.map((page) => withTicket(page, ticket)) } : known,
    );
    void queries.invalidateQueries({ queryKey: ticketKey(ticket.id) });
    void queries.invalidateQueries({ queryKey: ticketKey(ticket.number) });
  }
}

function withTicket(page: Page<TicketSummary>, ticket: TicketSummary): Page<TicketSummary> {
  return {
    ...page,
    items: page.items.map((item) => (item.id === ticket.id && item.version <= ticket.version ? ticket : item)),
  };
}
