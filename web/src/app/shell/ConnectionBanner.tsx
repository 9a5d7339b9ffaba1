import { CloudOff } from "lucide-react";
import { useTranslation } from "react-i18next";

import { useFineNow } from "@/format/time";
import { useLiveStatus } from "@/live/LiveProvider";

import classes from "./Shell.module.css";

const PATIENCE_MS = 1000;

/** Says within three seconds that the live connection is gone and what that means; a blink of it stays quiet. */
export function ConnectionBanner() {
  const { t } = useTranslation();
  const { state, since } = useLiveStatus();
  const now = useFineNow();
  const isShown = state === "refused" || (state !== "live" && now - since > PATIENCE_MS);
  return (
    <div role="status" className={classes.bannerHost}>
      {isShown ? (
        <p className={classes.banner} data-testid="connection-banner">
          <CloudOff size={16} aria-hidden="true" />
          {t(state === "refused" ? "live.refused" : "live.lost")}
        </p>
      ) : null}
    </div>
  );
}
