import { expect, test } from "vitest";

import { filterOf, parseTicketSearch } from "./search";

test("an address becomes a filter, nonsense is left out", () => {
  expect(parseTicketSearch({ view: "unassigned", queue: "de", q: 2026, evil: "x" })).toEqual({
    view: "unassigned",
    queue: "de",
    q: "2026",
  });
  expect(parseTicketSearch({ view: "nope", q: ["a"] })).toEqual({ view: undefined, queue: undefined, q: undefined });
});

test("a view becomes what the service is asked", () => {
  expect(filterOf({})).toMatchObject({ state: ["open"], assignee: "me" });
  expect(filterOf({ view: "unassigned" })).toMatchObject({ state: ["open"], assignee: "none" });
  expect(filterOf({ view: "all", q: "invoice" })).toMatchObject({ state: undefined, assignee: undefined, q: "invoice" });
});
