import { ActionIcon, Button, TextInput } from "@mantine/core";
import { Pencil } from "lucide-react";
import type { SubmitEvent } from "react";
import { useTranslation } from "react-i18next";

import type { Ticket, TicketSummary } from "@/api/types";
import { PriorityChip, TicketStateChip } from "@/parts/TicketParts";

import classes from "./TicketPage.module.css";
import type { TicketForm } from "./useTicketForm";

/** What is typed, and the ticket it was typed over: that one is what a save is compared with. */
export interface SubjectDraft {
  text: string;
  base: TicketSummary;
}

interface Props {
  ticket: Ticket;
  form: TicketForm;
  draft: SubjectDraft | null;
  onDraft: (draft: SubjectDraft | null) => void;
}

/** The ticket's heading; its words can be changed in place. */
export function TicketSubject({ ticket, form, draft, onDraft }: Props) {
  const { t } = useTranslation();
  if (draft === null) {
    return (
      <>
        {ticket.subject}
        <ActionIcon
          variant="subtle"
          color="gray"
          size={28}
          aria-label={t("ticket.editSubject")}
          onClick={() => onDraft({ text: ticket.subject, base: ticket })}
        >
          <Pencil size={15} />
        </ActionIcon>
        <TicketStateChip state={ticket.state} />
        <PriorityChip priority={ticket.priority} />
      </>
    );
  }
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const subject = draft.text.trim();
    if (subject === "" || subject === draft.base.subject) onDraft(null);
    else form.save({ subject }, { base: draft.base, onSaved: () => onDraft(null) });
  };
  return (
    <form className={classes.subjectForm} onSubmit={submit}>
      <TextInput
        aria-label={t("ticket.subject")}
        className={classes.subjectField}
        maxLength={300}
        autoFocus
        value={draft.text}
        onChange={(event) => onDraft({ ...draft, text: event.currentTarget.value })}
        onKeyDown={(event) => {
          if (event.key === "Escape") onDraft(null);
        }}
      />
      <Button type="submit" loading={form.isSaving} disabled={draft.text.trim() === ""}>
        {t("action.save")}
      </Button>
      <Button variant="default" onClick={() => onDraft(null)}>
        {t("action.cancel")}
      </Button>
    </form>
  );
}
