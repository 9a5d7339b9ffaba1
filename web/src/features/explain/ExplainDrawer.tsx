import { Drawer, Skeleton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";

import { explain } from "@/api/endpoints";
import type { Explanation } from "@/api/types";
import { ErrorState } from "@/design/Notice";
import { timeOfDay } from "@/format/time";
import { useLanguage, useText } from "@/i18n";

import classes from "./ExplainDrawer.module.css";

/** Why this call is where it is: sentences first, then every decision with its verdicts. */
export function ExplainDrawer({ workItem, onClose }: { workItem: number | null; onClose: () => void }) {
  const { t } = useTranslation();
  const { data, error, refetch } = useQuery({
    queryKey: ["explain", workItem],
    queryFn: () => explain(workItem ?? 0),
    enabled: workItem !== null,
    refetchInterval: 2000,
  });
  return (
    <Drawer
      opened={workItem !== null}
      onClose={onClose}
      title={t("explain.title")}
      size="md"
      closeButtonProps={{ "aria-label": t("action.close") }}
    >
      {error ? <ErrorState error={error} retry={() => void refetch()} /> : null}
      {data ? <Explained explanation={data} /> : error ? null : <Skeleton height={160} />}
    </Drawer>
  );
}

function Explained({ explanation }: { explanation: Explanation }) {
  const { t } = useTranslation();
  const text = useText();
  const language = useLanguage();
  return (
    <div className={classes.explained}>
      <ul className={classes.sentences}>
        {explanation.sentences.map((sentence, index) => (
          <li key={index}>{text(sentence)}</li>
        ))}
      </ul>
      <h3 className={classes.title}>{t("explain.decisions")}</h3>
      <ol className={classes.decisions}>
        {explanation.decisions.map((decision, index) => (
          <li key={`${decision.at}${index}`} className={classes.decision}>
            <p className={classes.head}>
              <strong>{decision.chosen ? t("explain.chosen", { name: decision.chosen.name }) : t("explain.nobody")}</strong>
              <time dateTime={decision.at}>{timeOfDay(decision.at, language)}</time>
            </p>
            <p>{text(decision.sentence)}</p>
            <p className={classes.soft}>
              {t("explain.rule", { rule: decision.rule, version: decision.ruleset_version })}
            </p>
            <ul className={classes.verdicts}>
              {decision.verdicts.map((verdict) => (
                <li key={verdict.agent_id}>
                  <span>{verdict.name}</span>
                  <span className={classes.soft}>{text(verdict.reason) || verdict.verdict}</span>
                </li>
              ))}
            </ul>
          </li>
        ))}
      </ol>
    </div>
  );
}
