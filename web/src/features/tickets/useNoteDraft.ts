import { useState } from "react";

const KEY = "ringdesk.ticket-note.";

/** A note that is being written: it survives a reload and a look at another page, in this window alone and until its person logs out. */
export function useNoteDraft(ticketId: number) {
  const key = `${KEY}${ticketId}`;
  const [body, setBody] = useState(() => sessionStorage.getItem(key) ?? "");
  return {
    body,
    write: (text: string) => {
      setBody(text);
      if (text === "") sessionStorage.removeItem(key);
      else sessionStorage.setItem(key, text);
    },
  };
}

export type NoteDraft = ReturnType<typeof useNoteDraft>;
