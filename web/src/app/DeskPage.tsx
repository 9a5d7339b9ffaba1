import { Skeleton } from "@mantine/core";
import { useTranslation } from "react-i18next";

import { ErrorState } from "@/design/Notice";
import { usePageTitle } from "@/design/usePageTitle";
import { useDesk } from "@/live/desk";

import classes from "./DeskPage.module.css";
import { DeskView } from "./DeskView";

export function DeskPage() {
  const { t } = useTranslation();
  usePageTitle(t("nav.desk"));
  const { data: desk, error, refetch } = useDesk();
  if (desk) return <DeskView desk={desk} />;
  if (error) return <ErrorState error={error} retry={() => void refetch()} />;
  return (
    <div className={classes.loading} aria-hidden="true">
      <Skeleton height={240} radius="lg" />
      <Skeleton height={320} radius="lg" />
    </div>
  );
}
