import { Eye, PencilLine } from "lucide-react";
import { useTranslation } from "react-i18next";

import type { ViewersTold } from "@/api/types";
import { useDeskIfRead } from "@/live/desk";
import { useViewers } from "@/live/LiveProvider";

import classes from "./Viewers.module.css";

/** Who else has this on the screen, and who is changing it. Said aloud when it changes; nobody is locked out. */
export function Viewers({ kind, id }: { kind: ViewersTold["kind"]; id: number }) {
  const { t } = useTranslation();
  const me = useDeskIfRead().data?.me.id;
  const others = useViewers(kind, id).filter((viewer) => viewer.id !== me);
  return (
    <div role="status" className={classes.host} data-testid="viewers">
      {others.map(({ id: viewer, name, is_editing }) => (
        <span key={viewer} className={classes.viewer} data-editing={is_editing || undefined}>
          {is_editing ? <PencilLine size={14} aria-hidden="true" /> : <Eye size={14} aria-hidden="true" />}
          {t(is_editing ? "viewers.editing" : "viewers.looking", { name })}
        </span>
      ))}
    </div>
  );
}
