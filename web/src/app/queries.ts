import { QueryClient } from "@tanstack/react-query";

import { Problem } from "@/api/problem";

export function createQueries(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 5_000,
        // A refusal stays a refusal; only an unreachable or failing service is asked again.
        retry: (failures, cause) => failures < 2 && !(cause instanceof Problem && cause.status >= 400 && cause.status < 500),
        retryDelay: (attempt) => Math.min(500 * 2 ** attempt, 4000),
        refetchOnWindowFocus: false,
        networkMode: "always",
      },
      mutations: { networkMode: "always" },
    },
  });
}
