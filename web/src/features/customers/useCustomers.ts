import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import * as api from "@/api/endpoints";
import type { CustomerChange, Profile } from "@/api/types";
import { customerKey } from "@/live/caches";

export function useCustomers(q: string) {
  return useInfiniteQuery({
    queryKey: ["customers", "list", q],
    queryFn: ({ pageParam }) => api.customers({ q: q === "" ? undefined : q, limit: 50, cursor: pageParam }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    placeholderData: (previous) => previous,
  });
}

export function useCustomer(id: number) {
  return useQuery({ queryKey: customerKey(id), queryFn: () => api.customer(id) });
}

export function useTimeline(id: number) {
  return useInfiniteQuery({
    queryKey: [...customerKey(id), "timeline"],
    queryFn: ({ pageParam }) => api.timeline(id, { limit: 30, cursor: pageParam }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
}

export function useChangeCustomer(id: number) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (change: CustomerChange) => api.changeCustomer(id, change),
    // The answer is the card alone; tickets and contacts beside it stay as they are.
    onSuccess: (card) => queries.setQueryData<Profile>(customerKey(id), (known) => known && { ...known, ...card }),
  });
}
