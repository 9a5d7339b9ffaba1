import { skipToken, useQuery } from "@tanstack/react-query";

import type { Desk } from "@/api/types";
import { useText } from "@/i18n";
import { DESK_KEY } from "@/live/desk";

/** The name of a wrap-up code, once this desk knows it; else the key itself. */
export function useDispositionName(): (key: string | null) => string | null {
  const text = useText();
  const desk = useQuery<Desk>({ queryKey: DESK_KEY, queryFn: skipToken }).data;
  return (key) => {
    const known = desk?.dispositions.find((disposition) => disposition.key === key);
    return known ? text(known.name) : key;
  };
}
