import { useState } from "react";

import { asProblem } from "@/api/problem";
import type { CustomerCard, Profile } from "@/api/types";
import type { Pick } from "@/parts/ConflictDialog";
import { changedFields, type Conflict, conflictsOf, follow } from "@/parts/threeWay";

import { useChangeCustomer } from "./useCustomers";

export interface Fields {
  name: string;
  company: string;
  language: string;
  note: string;
}
type Stored = Omit<CustomerCard, "id" | "tier" | "identities">;

const fieldsOf = ({ name, company, language, note }: Stored): Fields => ({
  name,
  company: company ?? "",
  language: language ?? "",
  note,
});

/** The card that a refused change brings along. */
const cardOf = (error: unknown): Stored | null => {
  const { code, body } = asProblem(error);
  return code === "version_conflict" && typeof body.current === "object" ? (body.current as Stored) : null;
};

/**
 * What is typed over a customer, beside what it was typed over. A newer version from elsewhere goes under the fields nobody has touched;
 * where both have changed the same, a person chooses among the three values.
 */
export function useCustomerForm(profile: Profile) {
  const change = useChangeCustomer(profile.id);
  const [known, setKnown] = useState<Stored>(profile);
  const [base, setBase] = useState(() => fieldsOf(profile));
  const [fields, setFields] = useState(base);
  const [conflicts, setConflicts] = useState<Conflict<Fields>[]>([]);
  const adopt = (newest: Stored, typed = fields) => {
    const followed = follow(base, typed, fieldsOf(newest));
    setKnown(newest);
    setBase(followed.base);
    setFields(followed.yours);
    return followed;
  };
  if (profile.version > known.version) adopt(profile);

  const send = (stored: Stored, wanted: Fields) => {
    const changed = changedFields(fieldsOf(stored), wanted);
    if (Object.keys(changed).length === 0) return;
    change.mutate(
      { ...changed, version: stored.version },
      {
        onSuccess: (card) => {
          setKnown(card);
          setBase(fieldsOf(card));
          setFields(fieldsOf(card));
        },
        // Somebody was faster. Other fields merge; of the same one a person decides.
        onError: (error) => {
          const newest = cardOf(error);
          if (newest) settle(newest);
        },
      },
    );
  };
  const settle = (newest: Stored) => {
    const followed = adopt(newest);
    const found = conflictsOf(followed.base, fieldsOf(newest), followed.yours);
    if (found.length > 0) setConflicts(found);
    else send(newest, followed.yours);
  };
  return {
    fields,
    set: (part: Partial<Fields>) => setFields({ ...fields, ...part }),
    isChanged: Object.keys(changedFields(base, fields)).length > 0,
    isSaving: change.isPending,
    error: cardOf(change.error) ? null : change.error,
    conflicts,
    save: () => settle(known),
    choose: (picks: Record<string, Pick>) => {
      const chosen = { ...fields };
      for (const { field, ...values } of conflicts) chosen[field] = values[picks[field] ?? "yours"];
      const newest = fieldsOf(known);
      setConflicts([]);
      setBase(newest);
      setFields(chosen);
      send(known, chosen);
    },
    dismiss: () => setConflicts([]),
    reset: () => {
      setBase(fieldsOf(known));
      setFields(fieldsOf(known));
    },
  };
}

export type CustomerForm = ReturnType<typeof useCustomerForm>;
