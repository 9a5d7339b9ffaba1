import { useTranslation } from "react-i18next";

/** How a call ended, in words; null while it has not. */
export function useOutcomeText(): (outcome: string | null) => string | null {
  const { t, i18n } = useTranslation();
  return (outcome) => {
    if (outcome === null) return null;
    const key = `calls.outcomes.${outcome}`;
    return i18n.exists(key) ? t(key as "calls.outcomes.answered") : outcome;
  };
}
