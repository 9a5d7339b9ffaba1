import { useTranslation } from "react-i18next";

import type { Problem } from "@/api/problem";
import type { Text } from "@/api/types";
import { useText } from "@/i18n";
import type en from "@/i18n/en.json";

type Known = keyof typeof en.problem;

/** The service says why in both languages. */
function isText(reason: unknown): reason is Text {
  return typeof reason === "object" && reason !== null && "en" in reason;
}

/** A problem in the user's language by its reason or its code; an unknown code falls back to the service's own sentence. */
export function useProblemText(): (problem: Problem) => string {
  const { t, i18n } = useTranslation();
  const text = useText();
  return (problem) => {
    if (isText(problem.body.reason)) return text(problem.body.reason);
    const key = `problem.${problem.code}`;
    if (i18n.exists(key)) return t(key as `problem.${Exclude<Known, "requestId">}`);
    return problem.body.detail ?? problem.body.title ?? t("problem.unexpected");
  };
}
