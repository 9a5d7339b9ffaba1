import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import * as api from "@/api/endpoints";
import { asProblem } from "@/api/problem";
import type { Ticket, TicketChange } from "@/api/types";
import { TICKETS_KEY, ticketKey } from "@/live/caches";

import { filterOf, type TicketSearch } from "./search";

const PAGE = 50;

export function useTickets(search: TicketSearch) {
  return useInfiniteQuery({
    queryKey: [...TICKETS_KEY, filterOf(search)],
    queryFn: ({ pageParam }) => api.tickets({ ...filterOf(search), limit: PAGE, cursor: pageParam }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    placeholderData: (previous) => previous,
  });
}

export function useTicket(id: string) {
  return useQuery({ queryKey: ticketKey(id), queryFn: () => api.ticket(id) });
}

/** A change made on the newest version. When somebody was faster, their version is shown and nothing is overwritten. */
function useTicketCommand<Input>(key: string, run: (input: Input) => Promise<Ticket>) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: run,
    onSuccess: (ticket) => {
      queries.setQueryData(ticketKey(key), ticket);
      void queries.invalidateQueries({ queryKey: TICKETS_KEY });
    },
    onError: (cause) => {
      if (asProblem(cause).status === 409) void queries.invalidateQueries({ queryKey: ticketKey(key) });
    },
  });
}

export function useChangeTicket(key: string, ticket: Ticket) {
  return useTicketCommand(key, (change: Omit<TicketChange, "version">) =>
    api.changeTicket(ticket.id, { ...change, version: ticket.version }),
  );
}

export function useAssignTicket(key: string, ticket: Ticket) {
  return useTicketCommand(key, (agentId: number | null) => api.assignTicket(ticket.id, agentId, ticket.version));
}

export function useAddNote(key: string, ticketId: number) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (body: string) => api.addTicketNote(ticketId, body),
    onSuccess: () => queries.invalidateQueries({ queryKey: ticketKey(key) }),
  });
}

/** Only supervisors may list agents; for everybody else the choice is "me" or nobody. */
export function useAssignable(enabled: boolean) {
  return useQuery({ queryKey: ["agents", "names"], queryFn: api.agents, enabled, staleTime: 60_000 }).data?.items ?? [];
}
