import { Button } from "@mantine/core";
import { Link, useLocation, useRouter } from "@tanstack/react-router";
import { PhoneIncoming } from "lucide-react";
import { useTranslation } from "react-i18next";

import type { ScreenPop } from "@/api/types";
import { useCallerName } from "@/features/call/caller";
import { useAccept, useReject } from "@/features/call/commands";
import { useText } from "@/i18n";
import { useShortcut } from "@/keys/shortcuts";

import classes from "./Shell.module.css";

/** On any page but the desk a ringing call is a bar with the way to it. The keys work from everywhere. */
export function RingingElsewhere({ offers }: { offers: ScreenPop[] }) {
  const { pathname } = useLocation();
  const first = offers[0];
  if (!first || pathname === "/desk") return null;
  return <RingingBar key={first.offer_id} pop={first} />;
}

function RingingBar({ pop }: { pop: ScreenPop }) {
  const { t } = useTranslation();
  const text = useText();
  const nameOf = useCallerName();
  const router = useRouter();
  const accept = useAccept();
  const reject = useReject();
  const answer = async () => {
    // Whatever came of it, the desk shows it.
    await accept.mutateAsync({ pop, customerId: null }).catch(() => undefined);
    await router.navigate({ to: "/desk" });
  };
  useShortcut("accept", () => void answer(), accept.isIdle);
  useShortcut("reject", () => reject.mutate(pop), reject.isIdle);
  return (
    <div className={classes.ringing}>
      <PhoneIncoming size={16} aria-hidden="true" />
      <span className="truncate">
        {t("pop.ringingBar", { name: nameOf(pop), queue: text(pop.call.queue_name) })}
      </span>
      <Button component={Link} to="/desk" size="xs">
        {t("pop.show")}
      </Button>
    </div>
  );
}
