import { Button } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { asProblem } from "@/api/problem";
import type { Tone } from "@/design/Chip";
import { useProblemText } from "@/design/useProblemText";

import classes from "./Notice.module.css";

/** Nothing here: says what will be here and what to do. */
export function EmptyState({ icon, title, children, isPage = false }: {
  icon?: ReactNode;
  title: string;
  children?: ReactNode;
  /** Stands for a whole page, so its title is the page's heading. */
  isPage?: boolean;
}) {
  const Title = isPage ? "h1" : "p";
  return (
    <div className={classes.empty}>
      {icon ? (
        <span className={classes.icon} aria-hidden="true">
          {icon}
        </span>
      ) : null}
      <Title className={classes.title}>{title}</Title>
      {children ? <div className={classes.text}>{children}</div> : null}
    </div>
  );
}

/** A request failed: what happened and the way out. */
export function ErrorState({ error, retry }: { error: unknown; retry?: () => void }) {
  const { t } = useTranslation();
  const text = useProblemText();
  const problem = asProblem(error);
  return (
    <div className={classes.empty} role="alert">
      <p className={classes.title}>{text(problem)}</p>
      {problem.body.request_id ? (
        <p className={classes.text}>{t("problem.requestId", { id: problem.body.request_id })}</p>
      ) : null}
      {retry ? (
        <Button variant="default" onClick={retry}>
          {t("action.tryAgain")}
        </Button>
      ) : null}
    </div>
  );
}

/** A sentence inside a panel that wants to be seen. */
export function Callout({ tone, icon, children, action }: {
  tone: Tone;
  icon?: ReactNode;
  children: ReactNode;
  action?: ReactNode;
}) {
  return (
    <div className={classes.callout} data-tone={tone}>
      {icon}
      <div className={classes.calloutText}>{children}</div>
      {action}
    </div>
  );
}
