import type { TFunction } from "i18next";
import { useTranslation } from "react-i18next";

import type { Candidate, ScreenPop } from "@/api/types";

/** The candidate that was picked or, with one match, the one there is. */
export function chosenCandidate(pop: ScreenPop, pickedId: number | null): Candidate | null {
  const { match, candidates, chosen_id } = pop.customer;
  const id = pickedId ?? chosen_id;
  if (id !== null) return candidates.find((candidate) => candidate.id === id) ?? null;
  return match === "one" ? (candidates[0] ?? null) : null;
}

/** Who is calling, in words: a name, or honestly that we do not know. */
export function callerName(t: TFunction, pop: ScreenPop, pickedId: number | null = null): string {
  const known = chosenCandidate(pop, pickedId)?.name ?? pop.customer.profile?.name;
  if (known !== undefined) return known;
  if (pop.customer.match === "withheld") return t("pop.withheld");
  if (pop.customer.match === "unread") return t("hole.unread");
  if (pop.customer.match === "many") return t("pop.possible", { count: pop.customer.candidates.length });
  return t("pop.unknown");
}

export function useCallerName(): (pop: ScreenPop, pickedId?: number | null) => string {
  const { t } = useTranslation();
  return (pop, pickedId = null) => callerName(t, pop, pickedId);
}
