import type { NumberListName } from "@/api/types";

export const LISTS = ["blocked", "do_not_call"] as const satisfies readonly NumberListName[];

/** `q`: a part of the numbers shown; `add`: one that somebody is about to put on the list. */
export interface NumbersSearch {
  list?: NumberListName;
  q?: string;
  add?: string;
}

export function parseNumbersSearch(search: Record<string, unknown>): NumbersSearch {
  // The address holds "+14155550123" as what it looks like: a number.
  const text = (value: unknown) =>
    (typeof value === "string" || typeof value === "number") && String(value).length <= 100 && value !== ""
      ? String(value)
      : undefined;
  return { list: LISTS.find((list) => list === search.list), q: text(search.q), add: text(search.add) };
}
