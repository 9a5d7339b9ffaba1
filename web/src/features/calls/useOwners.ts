import { useQuery } from "@tanstack/react-query";

import { agents } from "@/api/endpoints";

/** To whom a missed contact may be given, by name. Only for who may give it. */
export function useOwners(isEnabled: boolean): { value: string; label: string }[] {
  const { data } = useQuery({ queryKey: ["agents", "names"], queryFn: agents, enabled: isEnabled, staleTime: 60_000 });
  return (data?.items ?? []).map(({ id, name }) => ({ value: String(id), label: name }));
}
