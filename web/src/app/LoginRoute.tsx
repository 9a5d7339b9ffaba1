import { getRouteApi, useRouter } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";

import { homeOf } from "@/app/shell/navigation";
import { Logo } from "@/app/shell/Logo";
import { Settings } from "@/app/shell/Settings";
import { LoginPage } from "@/features/session/LoginPage";

const route = getRouteApi("/login");

export function LoginRoute() {
  const { t } = useTranslation();
  const { next, ended } = route.useSearch();
  const router = useRouter();
  return (
    <LoginPage
      logo={<Logo withName />}
      settings={<Settings />}
      notice={ended ? t("login.ended") : undefined}
      onDone={(me) => {
        if (next === undefined) void router.navigate({ to: homeOf(me.role), replace: true });
        else router.history.replace(next);
      }}
    />
  );
}
