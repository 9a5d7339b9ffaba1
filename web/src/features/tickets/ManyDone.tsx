import { Button, CloseButton } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";

import { asProblem, Problem } from "@/api/problem";
import type { ManyDone as Done } from "@/api/types";
import { Callout } from "@/design/Notice";
import { useProblemText } from "@/design/useProblemText";
import { secondsUntil, useNow } from "@/format/time";
import { ariaKeys, Keycaps } from "@/keys/Keycaps";
import { useShortcut } from "@/keys/shortcuts";

import classes from "./TicketsPage.module.css";

interface Props {
  done: Done | undefined;
  /** It was the taking back. */
  isUndo: boolean;
  error: unknown;
  isBusy: boolean;
  onUndo: (act: number) => void;
  onClose: () => void;
}

/** What came of a change of many tickets, row by row where it was refused, with the way back while there is one. */
export function ManyDone({ done, isUndo, error, isBusy, onUndo, onClose }: Props) {
  const { t } = useTranslation();
  const problemText = useProblemText();
  const now = useNow();
  const left = done?.undo_until ? Math.floor(secondsUntil(done.undo_until, now)) : 0;
  const act = done?.act ?? null;
  const undo = () => act !== null && !isBusy && onUndo(act);
  useShortcut("undo", undo, act !== null && left > 0);
  const refused = done?.results.filter(({ outcome }) => outcome === "refused") ?? [];
  const changed = done?.results.filter(({ outcome }) => outcome === "changed").length ?? 0;
  const said = (code: string | null, detail: string | null) =>
    problemText(new Problem({ status: 409, code: code ?? "conflict", detail: detail ?? undefined }));
  return (
    <div role="status" className={classes.doneHost} data-testid="many-done">
      {error ? <Callout tone="red">{problemText(asProblem(error))}</Callout> : null}
      {done ? (
        <Callout
          tone={refused.length > 0 ? "amber" : "green"}
          action={
            <span className={classes.doneActs}>
              {act !== null && left > 0 ? (
                <Button
                  size="compact-sm"
                  variant="default"
                  loading={isBusy}
                  aria-keyshortcuts={ariaKeys("undo")}
                  rightSection={<Keycaps of="undo" />}
                  onClick={undo}
                >
                  {t("act.undo")}
                  <span className={classes.seconds} aria-hidden="true">
                    {t("act.seconds", { seconds: left })}
                  </span>
                </Button>
              ) : null}
              <CloseButton aria-label={t("action.close")} onClick={onClose} />
            </span>
          }
        >
          <p>{t(isUndo ? "many.undone" : "many.done", { count: changed })}</p>
          {refused.length > 0 ? (
            <>
              <p>{t("many.refused", { count: refused.length })}</p>
              <ul className={classes.refused}>
                {refused.map(({ id, number, code, detail }) => (
                  <li key={id}>
                    <Link to="/tickets/$ticketId" params={{ ticketId: String(id) }}>
                      {number ?? id}
                    </Link>
                    {" — "}
                    {said(code, detail)}
                  </li>
                ))}
              </ul>
            </>
          ) : null}
        </Callout>
      ) : null}
    </div>
  );
}
