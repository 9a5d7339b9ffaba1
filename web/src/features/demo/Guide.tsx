import { useTranslation } from "react-i18next";

import { Panel } from "@/design/Panel";
import { Keycaps } from "@/keys/Keycaps";

import classes from "./Guide.module.css";

/** What to do here, in four steps. */
export function Guide() {
  const { t } = useTranslation();
  return (
    <Panel title={t("demo.guide.title")}>
      <ol className={classes.steps}>
        <li>{t("demo.guide.call")}</li>
        <li>
          {t("demo.guide.accept")} <Keycaps of="accept" isSpoken />
        </li>
        <li>
          {t("demo.guide.note")} <Keycaps of="choice1" isSpoken />
        </li>
        <li>
          {t("demo.guide.finish")} <Keycaps of="finish" isSpoken />
        </li>
      </ol>
      <p className={classes.more}>{t("demo.guide.more")}</p>
    </Panel>
  );
}
