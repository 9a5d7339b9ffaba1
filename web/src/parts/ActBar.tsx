import { Button, CloseButton } from "@mantine/core";
import { useEffect, useSyncExternalStore } from "react";
import { useTranslation } from "react-i18next";

import { secondsUntil, useNow } from "@/format/time";
import { ariaKeys, Keycaps } from "@/keys/Keycaps";
import { useShortcut } from "@/keys/shortcuts";

import classes from "./ActBar.module.css";
import { type Act, currentAct, dismissAct, subscribeActs } from "./acts";
import { useUndo } from "./useAct";

const SHOWN_MS = 8000;

/** One calm bar for what was just done, with the way back while there is one. It lies over the page and moves nothing. */
export function ActBar() {
  const { t } = useTranslation();
  const act = useSyncExternalStore(subscribeActs, currentAct);
  return (
    <section className={classes.host} aria-label={t("act.news")}>
      <div className={classes.bar} data-shown={act !== null || undefined} data-fault={act?.isFault} data-testid="act-bar">
        {/* Only what happened is said aloud, not each second of the countdown. */}
        <p className={classes.text} role="status">
          {act?.text}
        </p>
        {act ? <Ways act={act} /> : null}
      </div>
    </section>
  );
}

function Ways({ act }: { act: Act }) {
  const { t } = useTranslation();
  const now = useNow();
  const { mutate, isPending } = useUndo();
  const left = act.undo ? Math.floor(secondsUntil(act.undo.until, now)) : 0;
  const isOver = act.undo !== undefined && left <= 0;
  const run = () => {
    if (act.undo && !isPending) mutate({ undo: act.undo, act });
  };
  useShortcut("undo", run, left > 0);
  useEffect(() => {
    if (act.undo) return;
    const timer = setTimeout(() => dismissAct(act), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [act]);
  useEffect(() => {
    if (isOver && !isPending) dismissAct(act);
  }, [act, isOver, isPending]);
  return (
    <>
      {left > 0 || isPending ? (
        <Button
          size="compact-sm"
          variant="default"
          loading={isPending}
          aria-keyshortcuts={ariaKeys("undo")}
          rightSection={<Keycaps of="undo" />}
          onClick={run}
        >
          {t("act.undo")}
          <span className={classes.seconds} aria-hidden="true">
            {t("act.seconds", { seconds: left })}
          </span>
        </Button>
      ) : null}
      <CloseButton className={classes.close} aria-label={t("action.close")} onClick={() => dismissAct(act)} />
    </>
  );
}
