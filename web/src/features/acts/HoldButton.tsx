import { Button, Modal, TextInput } from "@mantine/core";
import { type SubmitEvent, useState } from "react";
import { useTranslation } from "react-i18next";

import { holdQueue } from "@/api/endpoints";
import type { QueueStats } from "@/api/types";
import { useText } from "@/i18n";
import { useAct } from "@/parts/useAct";

/** Hold a queue, with a reason if there is one to give, or release it. */
export function HoldButton({ queue }: { queue: QueueStats }) {
  const { t } = useTranslation();
  const text = useText();
  const [isOpen, setOpen] = useState(false);
  const [reason, setReason] = useState("");
  const act = useAct();
  const name = text(queue.name);
  const isHeld = queue.held_since !== null;
  const release = () => {
    const run = () => holdQueue(queue.key, { is_held: false, version: queue.hold_version });
    act.mutate({ done: t("act.released", { queue: name }), run });
  };
  const hold = (event: SubmitEvent) => {
    event.preventDefault();
    const run = () =>
      holdQueue(queue.key, { is_held: true, version: queue.hold_version, reason: reason.trim() || undefined });
    act.mutate({ done: t("act.held", { queue: name }), run });
    setOpen(false);
    setReason("");
  };
  return (
    <>
      <Button
        size="compact-sm"
        variant="default"
        miw={76}
        loading={act.isPending}
        aria-label={t(isHeld ? "hold.releaseOf" : "hold.holdOf", { queue: name })}
        onClick={isHeld ? release : () => setOpen(true)}
      >
        {t(isHeld ? "hold.release" : "hold.hold")}
      </Button>
      <Modal
        opened={isOpen}
        onClose={() => setOpen(false)}
        title={t("hold.holdOf", { queue: name })}
        closeButtonProps={{ "aria-label": t("action.close") }}
      >
        <form onSubmit={hold} style={{ display: "grid", gap: "var(--space-4)" }}>
          <p>{t("hold.about")}</p>
          <TextInput
            label={t("hold.reason")}
            description={t("hold.reasonHint")}
            maxLength={200}
            data-autofocus
            value={reason}
            onChange={(event) => setReason(event.currentTarget.value)}
          />
          <Button type="submit">{t("hold.hold")}</Button>
        </form>
      </Modal>
    </>
  );
}
