import { type QueryClient, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { currentUser, logIn, logOut } from "@/api/endpoints";
import type { Me } from "@/api/types";

export const SESSION_KEY = ["session"] as const;

const options = { queryKey: SESSION_KEY, queryFn: currentUser, staleTime: Infinity, gcTime: Infinity } as const;

export function sessionOf(queries: QueryClient): Promise<Me | null> {
  return queries.query({ ...options, staleTime: "static" });
}

export function useMe(): Me | null | undefined {
  return useQuery(options).data;
}

export function useLogIn() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: ({ email, password }: { email: string; password: string }) => logIn(email, password),
    onSuccess: (me) => {
      queries.clear();
      queries.setQueryData(SESSION_KEY, me);
    },
  });
}

export function useLogOut() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: logOut,
    onSettled: () => {
      sessionStorage.clear(); // words that were being typed here are nobody else's
      queries.clear();
      queries.setQueryData(SESSION_KEY, null);
    },
  });
}
