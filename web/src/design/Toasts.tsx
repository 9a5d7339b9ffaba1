import { CloseButton } from "@mantine/core";
import { useSyncExternalStore } from "react";
import { useTranslation } from "react-i18next";

import { currentToasts, dismissToast, subscribeToasts } from "@/design/toasts";

import classes from "./Toasts.module.css";

/** Said politely by assistive tech; never takes the focus. */
export function Toasts() {
  const { t } = useTranslation();
  const toasts = useSyncExternalStore(subscribeToasts, currentToasts);
  return (
    <section className={classes.host} aria-label={t("action.news")} aria-live="polite">
      {toasts.map((toast) => (
        <div key={toast.id} className={classes.toast} data-tone={toast.tone} data-testid="toast">
          <div className={classes.text}>
            <p className={classes.title}>{toast.title}</p>
            {toast.text ? <p className={classes.soft}>{toast.text}</p> : null}
          </div>
          <CloseButton aria-label={t("action.close")} onClick={() => dismissToast(toast.id)} />
        </div>
      ))}
    </section>
  );
}
