import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";

import * as api from "@/api/endpoints";
import { asProblem } from "@/api/problem";
import type { CallState, MissedContact, MissedResult } from "@/api/types";
import { useProblemText } from "@/design/useProblemText";
import { startOf } from "@/format/time";
import { showAct } from "@/parts/acts";

import type { CallsSearch } from "./search";

const GOING_ON: CallState[] = ["received", "ivr", "queued", "offering", "connecting", "in_call", "on_hold", "voicemail", "outside", "wrap_up"];

export function useCalls(search: CallsSearch) {
  return useInfiniteQuery({
    queryKey: ["calls", search],
    queryFn: ({ pageParam }) =>
      api.calls({
        direction: search.direction && [search.direction],
        outcome: search.outcome && [search.outcome],
        state: search.state && GOING_ON,
        queue: search.queue,
        agent: search.agent,
        customer: search.customer,
        number: search.number,
        since: search.from && startOf(search.from),
        until: search.to && startOf(search.to, 1),
        limit: 50,
        cursor: pageParam,
      }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    refetchInterval: 5000,
  });
}

export function useMissed(search: CallsSearch) {
  return useInfiniteQuery({
    queryKey: ["missed", search.view, search.queue, search.owner],
    queryFn: ({ pageParam }) =>
      api.missedContacts({
        state: search.view === "done" ? "done" : "open",
        queue: search.queue,
        owner: search.owner,
        limit: 50,
        cursor: pageParam,
      }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    refetchInterval: 5000,
  });
}

export function useMissedCount() {
  return useQuery({ queryKey: ["missed", "count"], queryFn: api.missedCount, refetchInterval: 10_000 }).data?.open;
}

const UNDO_MS = 10_000;

/** What is done to missed contacts: told in the bar, taken back from there. */
export function useMissedActs() {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const problemText = useProblemText();
  const failed = (error: unknown) => showAct({ text: problemText(asProblem(error)), isFault: true });
  const readAgain = () => queries.invalidateQueries({ queryKey: ["missed"] });
  const finish = useMutation({
    mutationFn: ({ items, result }: { items: MissedContact[]; result: MissedResult }) =>
      api.finishMissed(items.map(({ id, version }) => ({ id, version })), result),
    onSuccess: ({ changed, skipped }) => {
      const left = skipped.length > 0 ? ` ${t("missed.skipped", { count: skipped.length })}` : "";
      const text = t("missed.finished", { count: changed.length }) + left;
      const undo = { until: new Date(Date.now() + UNDO_MS).toISOString(), run: () => api.reopenMissed(changed).finally(readAgain) };
      showAct(changed.length === 0 ? { text, isFault: true } : { text, undo });
    },
    onError: failed,
    onSettled: readAgain,
  });
  const own = useMutation({
    mutationFn: ({ id, agent }: { id: number; agent: number | null }) => api.ownMissed(id, agent),
    onError: failed,
    onSettled: readAgain,
  });
  return { finish, own };
}
