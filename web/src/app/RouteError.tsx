import { Button } from "@mantine/core";
import { Link, useRouter } from "@tanstack/react-router";
import { Compass } from "lucide-react";
import { useTranslation } from "react-i18next";

import { EmptyState, ErrorState } from "@/design/Notice";

export function RouteError({ error, reset }: { error: unknown; reset: () => void }) {
  const { t } = useTranslation();
  const router = useRouter();
  const retry = () => {
    reset();
    void router.invalidate();
  };
  return (
    <main>
      <h1 className="visually-hidden">{t("notFound.fault")}</h1>
      <ErrorState error={error} retry={retry} />
    </main>
  );
}

export function NotFound() {
  const { t } = useTranslation();
  return (
    <main>
      <EmptyState icon={<Compass />} title={t("notFound.title")} isPage>
        <p>{t("notFound.text")}</p>
        <Button component={Link} to="/" variant="default" mt="md">
          {t("notFound.home")}
        </Button>
      </EmptyState>
    </main>
  );
}
