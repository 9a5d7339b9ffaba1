import { TextInput } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { Search } from "lucide-react";
import { type SubmitEvent, useRef, useState } from "react";
import { useTranslation } from "react-i18next";

import { Keycaps } from "@/keys/Keycaps";
import { useShortcut } from "@/keys/shortcuts";

import classes from "./Shell.module.css";

const TICKET_NUMBER = /^t?-?20\d{2}-?\d{6}-?\d$/i;

/** A ticket number opens the ticket; a phone number or a name looks for customers. */
export function QuickSearch() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [text, setText] = useState("");
  const field = useRef<HTMLInputElement>(null);
  useShortcut("search", () => field.current?.focus());
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const q = text.trim();
    const number = q.replaceAll(" ", "");
    if (q === "") return;
    if (TICKET_NUMBER.test(number)) {
      void navigate({ to: "/tickets/$ticketId", params: { ticketId: number } });
    } else {
      void navigate({ to: "/customers", search: { q } });
    }
    setText("");
    field.current?.blur();
  };
  return (
    <form role="search" className={classes.search} onSubmit={submit}>
      <TextInput
        ref={field}
        aria-label={t("search.label")}
        placeholder={t("search.placeholder")}
        leftSection={<Search size={16} aria-hidden="true" />}
        rightSection={text === "" ? <Keycaps of="search" /> : null}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") event.currentTarget.blur();
        }}
      />
    </form>
  );
}
