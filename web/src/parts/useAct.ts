import { type QueryClient, useMutation, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";

import { undoAct } from "@/api/endpoints";
import { asProblem } from "@/api/problem";
import type { UndoHandle } from "@/api/types";
import { useProblemText } from "@/design/useProblemText";

import { type Act, showAct } from "./acts";

/** Whatever came of it, the floor is read again: after a conflict the list shows what the conflict was about. */
const readFloorAgain = (queries: QueryClient) =>
  Promise.all(["queues", "agents", "candidates", "calls"].map((key) => queries.invalidateQueries({ queryKey: [key] })));

interface Doing {
  /** What the bar says when it is done: "Held Support". */
  done: string;
  run: () => Promise<{ undo: UndoHandle }>;
}

/** An act of a supervisor: done at once, told in the bar, undone from there. */
export function useAct() {
  const queries = useQueryClient();
  const problemText = useProblemText();
  return useMutation({
    mutationFn: ({ run }: Doing) => run(),
    onSuccess: ({ undo }, { done }) => showAct({ text: done, undo }),
    onError: (error) => showAct({ text: problemText(asProblem(error)), isFault: true }),
    onSettled: () => readFloorAgain(queries),
  });
}

export function useUndo() {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const problemText = useProblemText();
  return useMutation({
    mutationFn: ({ undo }: { undo: NonNullable<Act["undo"]>; act: Act }): Promise<unknown> => ("run" in undo ? undo.run() : undoAct(undo.id)),
    onSuccess: (_, { act }) => showAct({ text: t("act.undone", { what: act.text }) }),
    onError: (error) => showAct({ text: problemText(asProblem(error)), isFault: true }),
    onSettled: () => readFloorAgain(queries),
  });
}
