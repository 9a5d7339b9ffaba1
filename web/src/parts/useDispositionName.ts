import { useQueryClient } from "@tanstack/react-query";

import type { Desk } from "@/api/types";
import { useText } from "@/i18n";
import { DESK_KEY } from "@/live/desk";

/** The name of a wrap-up code, as far as this desk knows it; else the key itself. */
export function useDispositionName(): (key: string | null) => string | null {
  const queries = useQueryClient();
  const text = useText();
  return (key) => {
    const known = queries.getQueryData<Desk>(DESK_KEY)?.dispositions.find((disposition) => disposition.key === key);
    return known ? text(known.name) : key;
  };
}
