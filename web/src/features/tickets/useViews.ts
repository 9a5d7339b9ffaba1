import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import * as api from "@/api/endpoints";
import type { TicketQuery, TicketView } from "@/api/types";

const KEY = ["ticket-views"] as const;

export function useViews() {
  return useQuery({ queryKey: KEY, queryFn: api.ticketViews, staleTime: 60_000 }).data?.items ?? [];
}

export function useSaveView() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (view: { name: string; query: TicketQuery; is_shared: boolean }) => api.createTicketView(view),
    onSuccess: () => queries.invalidateQueries({ queryKey: KEY }),
  });
}

/** Of the version that was shown: a view that another window changed meanwhile is read again, and its newest name stands. */
export function useChangeView() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: ({ view, change }: { view: TicketView; change: { name: string; is_shared?: boolean } }) =>
      api.changeTicketView(view.id, { ...change, version: view.version }),
    onSettled: () => queries.invalidateQueries({ queryKey: KEY }),
  });
}

export function useDeleteView() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (id: number) => api.deleteTicketView(id),
    onSettled: () => queries.invalidateQueries({ queryKey: KEY }),
  });
}
