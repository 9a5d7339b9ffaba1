import { Button } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { CircleDashed } from "lucide-react";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";

import { popAgain } from "@/api/endpoints";
import type { Hole, PopLayer, ScreenPop } from "@/api/types";
import { usePatchDesk, withPopAgain } from "@/live/desk";

import classes from "./Pop.module.css";
import { isMissing, usePainted } from "./usePainted";

const AGAIN_MS = [0, 3000, 8000, 15_000, 30_000];

function useFill(pop: ScreenPop) {
  const patch = usePatchDesk();
  return useMutation({
    mutationKey: ["pop-again", pop.offer_id],
    mutationFn: () => popAgain(pop.offer_id),
    onSuccess: (again) => patch((desk) => withPopAgain(desk, again)),
  });
}

/** What the pop came without is asked for at once and, more and more seldom, again; and whenever somebody says so. */
export function FillHoles({ pop }: { pop: ScreenPop }) {
  const { mutate } = useFill(pop);
  const isWhole = (pop.holes ?? []).length === 0;
  useEffect(() => {
    if (isWhole) return;
    const timers = AGAIN_MS.map((wait) => setTimeout(() => mutate(), wait));
    return () => timers.forEach((timer) => clearTimeout(timer));
  }, [mutate, isWhole]);
  return null;
}

/** Beside what is painted, where that is not of this feature. */
export function Painted({ pop, layer, when }: { pop: ScreenPop; layer: PopLayer; when: boolean }) {
  usePainted(pop, layer, when);
  return null;
}

/** Says what is missing in this pop, and why; nothing where nothing is. */
export function MissingPart({ pop, source }: { pop: ScreenPop; source: Hole["source"] }) {
  const { t } = useTranslation();
  const fill = useFill(pop);
  const hole = (pop.holes ?? []).find((each) => each.source === source);
  if (!hole || !isMissing(pop, source)) return null;
  return (
    <div className={classes.hole} role="status" data-testid={`hole-${source}`}>
      <CircleDashed size={16} aria-hidden="true" />
      <span className={classes.holeText}>
        {t(`hole.${source}`)} {t(`hole.${hole.why}`)}
      </span>
      <Button size="compact-sm" variant="default" loading={fill.isPending} onClick={() => fill.mutate()}>
        {t("action.tryAgain")}
      </Button>
    </div>
  );
}
