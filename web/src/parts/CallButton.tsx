import { ActionIcon, Button } from "@mantine/core";
import { Phone } from "lucide-react";
import { useTranslation } from "react-i18next";

import { useMakeCall } from "./useMakeCall";
import type { Dialling } from "./dial";

/** One click, and this number is called. `label` shows words beside the sign. */
export function CallButton({ dialling, label }: { dialling: Dialling; label?: string }) {
  const { t } = useTranslation();
  const make = useMakeCall();
  const name = t("dial.callWho", { who: dialling.name ?? dialling.call.to ?? "" });
  const run = () => make.mutate({ ...dialling, problem: undefined });
  if (label !== undefined) {
    return (
      <Button
        size="compact-sm"
        variant="default"
        leftSection={<Phone size={14} aria-hidden="true" />}
        loading={make.isPending}
        aria-label={`${label}: ${name}`}
        onClick={run}
      >
        {label}
      </Button>
    );
  }
  return (
    <ActionIcon variant="subtle" size={28} loading={make.isPending} aria-label={name} title={name} onClick={run}>
      <Phone size={16} aria-hidden="true" />
    </ActionIcon>
  );
}
