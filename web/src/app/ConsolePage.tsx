import { Button } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";

import { Console } from "@/features/demo/Console";
import { TrafficSwitch } from "@/features/demo/TrafficSwitch";
import { usePageTitle } from "@/design/usePageTitle";

import classes from "./DemoPage.module.css";
import { Logo } from "./shell/Logo";
import { Settings } from "./shell/Settings";

/** The simulator from behind: part of the demo, and served with it only. */
export function ConsolePage() {
  const { t } = useTranslation();
  usePageTitle(t("console.page"));
  return (
    <div className={classes.page}>
      <section className={classes.top} aria-label={t("demo.about")}>
        <Logo withName />
        <h1 className={classes.title}>{t("console.page")}</h1>
        <div className={classes.topEnd}>
          <TrafficSwitch />
          <Button component={Link} to="/demo" variant="default">
            {t("console.back")}
          </Button>
          <Settings />
        </div>
      </section>
      <main>
        <Console />
      </main>
    </div>
  );
}
