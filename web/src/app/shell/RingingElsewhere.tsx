import { Button } from "@mantine/core";
import { Link, useLocation } from "@tanstack/react-router";
import { PhoneIncoming } from "lucide-react";
import { useTranslation } from "react-i18next";

import type { ScreenPop } from "@/api/types";
import { useCallerName } from "@/features/call/caller";
import { useText } from "@/i18n";

import classes from "./Shell.module.css";

/** On any page but the desk a ringing call is a bar with the way to it. */
export function RingingElsewhere({ offers }: { offers: ScreenPop[] }) {
  const { t } = useTranslation();
  const text = useText();
  const nameOf = useCallerName();
  const { pathname } = useLocation();
  const first = offers[0];
  if (!first || pathname === "/desk") return null;
  return (
    <div className={classes.ringing}>
      <PhoneIncoming size={16} aria-hidden="true" />
      <span className="truncate">
        {t("pop.ringingBar", { name: nameOf(first), queue: text(first.call.queue_name) })}
      </span>
      <Button component={Link} to="/desk" size="xs">
        {t("pop.show")}
      </Button>
    </div>
  );
}
