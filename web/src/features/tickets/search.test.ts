import { expect, test } from "vitest";

import { filterOf, isSameList, parseTicketSearch, queryOf, searchOf } from "./search";

test("an address becomes a filter, nonsense is left out", () => {
  expect(parseTicketSearch({ view: "unassigned", queue: "de", q: 2026, evil: "x" })).toMatchObject({
    view: "unassigned",
    queue: "de",
    q: "2026",
  });
  const nothing = parseTicketSearch({ view: "nope", q: ["a"], state: ["nowhere"], priority: 7, assignee: "somebody" });
  expect(Object.values(nothing).filter((value) => value !== undefined)).toEqual([]);
  expect(parseTicketSearch({ state: "closed", priority: ["urgent", "x"], assignee: 12 })).toMatchObject({
    state: ["closed"],
    priority: ["urgent"],
    assignee: "12",
  });
});

test("a view becomes what the service is asked", () => {
  expect(filterOf({})).toMatchObject({ state: ["open"], assignee: "me" });
  expect(filterOf({ view: "unassigned" })).toMatchObject({ state: ["open"], assignee: "none" });
  expect(filterOf({ view: "all", q: "invoice" })).toMatchObject({ state: undefined, assignee: undefined, q: "invoice" });
});

test("what is chosen goes before what the view means", () => {
  expect(filterOf({ view: "mine", state: ["closed"], assignee: "none" })).toMatchObject({ state: ["closed"], assignee: "none" });
});

test("a saved view leads to the same list", () => {
  const search = { view: "unassigned", priority: ["urgent" as const], tag: "storm", q: "发票" } as const;
  const again = searchOf(queryOf({ ...search, priority: [...search.priority] }));
  expect(isSameList(again, { ...search, priority: [...search.priority] })).toBe(true);
  expect(isSameList(again, { view: "unassigned" })).toBe(false);
});
