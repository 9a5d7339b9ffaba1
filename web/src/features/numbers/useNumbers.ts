import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";

import * as api from "@/api/endpoints";
import { asProblem } from "@/api/problem";
import type { ListedNumber, NewListed, NumberListName } from "@/api/types";
import { useProblemText } from "@/design/useProblemText";
import { formatPhone } from "@/format/phone";
import { showAct } from "@/parts/acts";
import { showDone } from "@/parts/takeBack";

export function useNumbers(list: NumberListName, number: string | undefined) {
  return useInfiniteQuery({
    queryKey: ["numbers", list, number],
    queryFn: ({ pageParam }) => api.listedNumbers(list, { number, limit: 50, cursor: pageParam }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
}

/** Put on a list at once, taken off at once: the bar says so, and takes a removal back. */
export function useNumberActs(list: NumberListName) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const problemText = useProblemText();
  const readAgain = () => queries.invalidateQueries({ queryKey: ["numbers", list] });
  const add = useMutation({
    mutationFn: (body: NewListed) => api.listNumber(list, body),
    onSuccess: ({ number }) => showAct({ text: t(`numbers.added.${list}`, { number: formatPhone(number) }) }),
    onSettled: readAgain,
  });
  const remove = useMutation({
    mutationFn: ({ id }: ListedNumber) => api.unlistNumber(list, id),
    onSuccess: (_, { number, reason, expires_at }) =>
      showDone(t(`numbers.removed.${list}`, { number: formatPhone(number) }), () =>
        api.listNumber(list, { number, reason, expires_at }).finally(readAgain),
      ),
    onError: (error) => showAct({ text: problemText(asProblem(error)), isFault: true }),
    onSettled: readAgain,
  });
  return { add, remove };
}
