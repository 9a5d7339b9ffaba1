import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import * as api from "@/api/endpoints";
import { asProblem } from "@/api/problem";
import type { CustomerChange, Profile } from "@/api/types";

const key = (id: number) => ["customer", id] as const;

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
  return useQuery({ queryKey: key(id), queryFn: () => api.customer(id) });
}

export function useTimeline(id: number) {
  return useInfiniteQuery({
    queryKey: [...key(id), "timeline"],
    queryFn: ({ pageParam }) => api.timeline(id, { limit: 30, cursor: pageParam }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
}

export function useChangeCustomer(profile: Profile) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (change: Omit<CustomerChange, "version">) =>
      api.changeCustomer(profile.id, { ...change, version: profile.version }),
    // The answer is the card alone; tickets and contacts beside it stay as they are.
    onSuccess: (card) => queries.setQueryData<Profile>(key(profile.id), (known) => known && { ...known, ...card }),
    onError: (cause) => {
      if (asProblem(cause).status === 409) void queries.invalidateQueries({ queryKey: key(profile.id) });
    },
  });
}
