import { CloudOff } from "lucide-react";
import { useTranslation } from "react-i18next";

import { useFineNow } from "@/format/time";
import { useLiveStatus } from "@/live/LiveProvider";

import classes from "./Shell.module.css";

const PATIENCE_MS = 1000;
const TEXT = { connecting: "live.connecting", lost: "live.lost", refused: "live.refused" } as const;

/** Says within three seconds that the live connection is gone and what that means; a blink of it stays quiet. */
export function ConnectionBanner() {
  const { t } = useTranslation();
  const { state, since } = useLiveStatus();
  const now = useFineNow();
  const text = state !== "live" && (state === "refused" || now - since > PATIENCE_MS) ? TEXT[state] : undefined;
  return (
    <div role="status" className={classes.bannerHost}>
      {text ? (
        <p className={classes.banner} data-testid="connection-banner">
          <CloudOff size={16} aria-hidden="true" />
          {t(text)}
        </p>
      ) : null}
    </div>
  );
}
