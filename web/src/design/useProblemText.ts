import { useTranslation } from "react-i18next";

import type { Problem } from "@/api/problem";
import type en from "@/i18n/en.json";

type Known = keyof typeof en.problem;

/** A problem in the user's language by its code; an unknown code falls back to the service's own sentence. */
export function useProblemText(): (problem: Problem) => string {
  const { t, i18n } = useTranslation();
  return (problem) => {
    const key = `problem.${problem.code}`;
    if (i18n.exists(key)) return t(key as `problem.${Exclude<Known, "requestId">}`);
    return problem.body.detail ?? problem.body.title ?? t("problem.unexpected");
  };
}
