import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import * as api from "@/api/endpoints";
import type { ManyChange, ManyDone, TicketSummary } from "@/api/types";
import { TICKETS_KEY } from "@/live/caches";

/** One change to the tickets that are chosen, and its taking back; the list is read again after both. */
export function useMany() {
  const queries = useQueryClient();
  const [done, setDone] = useState<{ what: ManyDone; isUndo: boolean }>();
  const again = () =>
    Promise.all([TICKETS_KEY, ["ticket"]].map((queryKey) => queries.invalidateQueries({ queryKey: [...queryKey] })));
  const change = useMutation({
    mutationFn: ({ tickets, change }: { tickets: TicketSummary[]; change: ManyChange }) =>
      api.changeManyTickets({
        rows: tickets.map(({ id, version }) => ({ id, version })),
        change: { add_tags: [], remove_tags: [], ...change },
      }),
    onSuccess: (what) => setDone({ what, isUndo: false }),
    onSettled: again,
  });
  const undo = useMutation({
    mutationFn: (act: number) => api.undoManyTickets(act),
    onSuccess: (what) => setDone({ what, isUndo: true }),
    onSettled: again,
  });
  return {
    change: change.mutate,
    undo: undo.mutate,
    isBusy: change.isPending || undo.isPending,
    error: change.error ?? undo.error,
    done: done?.what,
    isUndo: done?.isUndo ?? false,
    close: () => {
      setDone(undefined);
      change.reset();
      undo.reset();
    },
  };
}
