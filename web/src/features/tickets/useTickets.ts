import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";

import * as api from "@/api/endpoints";
import { asProblem } from "@/api/problem";
import type { Me, TicketChange, TicketSummary } from "@/api/types";
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

/** What a person changes of a ticket at a time. Whose it is goes another way than the rest. */
export type Change = Omit<TicketChange, "version"> & { assignee_id?: number | null };

/** A change of the version somebody saw. Where somebody else was faster in the same field nothing is overwritten: it is refused. */
export function useChangeTicket(key: string, ticketId: number) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: ({ change: { assignee_id, ...change }, version }: { change: Change; version: number }) =>
      assignee_id === undefined
        ? api.changeTicket(ticketId, { ...change, version })
        : api.assignTicket(ticketId, assignee_id, version),
    onSuccess: (ticket) => {
      queries.setQueryData(ticketKey(key), ticket);
      void queries.invalidateQueries({ queryKey: TICKETS_KEY });
    },
    onError: (cause) => {
      if (asProblem(cause).status === 409) void queries.invalidateQueries({ queryKey: ticketKey(key) });
    },
  });
}

export function useAddNote(key: string, ticketId: number) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (body: string) => api.addTicketNote(ticketId, body),
    onSuccess: () => queries.invalidateQueries({ queryKey: ticketKey(key) }),
  });
}

/** To whom a ticket can be given, by id. Only supervisors may list agents; for everybody else the choice is "me" or who has it. */
export function useAssignees(ticket: TicketSummary | null, me: Me): ReadonlyMap<number, string> {
  const { t } = useTranslation();
  const enabled = me.role === "supervisor" || me.role === "admin";
  const agents = useQuery({ queryKey: ["agents", "names"], queryFn: api.agents, enabled, staleTime: 60_000 }).data?.items;
  const known = new Map<number, string>([[me.id, t("ticket.me", { name: me.name })]]);
  if (ticket?.assignee) known.set(ticket.assignee.id, known.get(ticket.assignee.id) ?? ticket.assignee.name);
  for (const agent of agents ?? []) known.set(agent.id, known.get(agent.id) ?? agent.name);
  return known;
}
