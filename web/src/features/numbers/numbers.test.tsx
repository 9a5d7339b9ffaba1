import { fireEvent, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { expect, test } from "vitest";

import type { ListedNumber } from "@/api/types";
import { startOf } from "@/format/time";
import { ActBar } from "@/parts/ActBar";
import { draw, expectAccessible } from "@/test/render";
import { Service } from "@/test/service";

import { NumbersPage } from "./NumbersPage";
import { type NumbersSearch, parseNumbersSearch } from "./search";

const AT = "2026-11-27T10:00:00Z";
const LISTED: ListedNumber = {
  id: 4, number: "+14155550123", reason: "Threatens people", added_by: "Sam Lead", added_at: AT, expires_at: null,
};
const OVER: ListedNumber = { ...LISTED, id: 3, number: "+14155550124", reason: "Rang all night", expires_at: AT };

function aService(items: ListedNumber[] = [LISTED, OVER]) {
  return new Service()
    .on("GET /blocked-numbers", { body: { items, next_cursor: null } })
    .on("GET /do-not-call", { body: { items: [], next_cursor: null } });
}

function Shown({ first = {} }: { first?: NumbersSearch }) {
  const [search, setSearch] = useState(first);
  return (
    <>
      <NumbersPage search={search} onSearch={setSearch} />
      <ActBar />
    </>
  );
}

test("each number stands there with who added it, why and until when", async () => {
  aService();
  await draw(<Shown />);
  const row = within(await screen.findByRole("row", { name: /555-0123/ }));
  expect(row.getByText("Threatens people")).toBeTruthy();
  expect(row.getByText("Sam Lead")).toBeTruthy();
  expect(row.getByText("Until removed")).toBeTruthy();
  expect(within(screen.getByRole("row", { name: /555-0124/ })).getByText("Over")).toBeTruthy();
  await expectAccessible(screen.getByRole("main"));
});

test("an empty list says what will stand there, and a search that finds nothing says so", async () => {
  aService([]);
  await draw(<Shown />);
  expect(await screen.findByText("No number is blocked")).toBeTruthy();
  await userEvent.type(screen.getByRole("textbox", { name: "Find a number" }), "777");
  expect(await screen.findByText("No number fits what you look for.")).toBeTruthy();
});

test("a number is added by the keyboard, until the end of a day, and the bar says so", async () => {
  const service = aService().on("POST /blocked-numbers", { status: 201, body: { ...LISTED, id: 9 } });
  await draw(<Shown first={{ add: "+14155550123" }} />);
  const number = await screen.findByRole("textbox", { name: "Number" });
  expect(document.activeElement).toBe(number);
  fireEvent.change(screen.getByLabelText("Until the end of"), { target: { value: "2026-12-24" } });
  await userEvent.tab();
  await userEvent.keyboard("Threatens people{Enter}");
  expect(await screen.findByText(/555-0123 is blocked/)).toBeTruthy();
  expect(service.bodiesOf("POST /blocked-numbers")).toEqual([
    { number: "+14155550123", reason: "Threatens people", expires_at: startOf("2026-12-24", 1) },
  ]);
  expect(number).toHaveProperty("value", "");
});

test("a number that cannot be listed is said at its field, and stays typed", async () => {
  aService().on("POST /blocked-numbers", {
    status: 422,
    body: { type: "about:blank", title: "x", status: 422, code: "invalid", detail: "x", errors: [{ field: "number", message: "x" }] },
  });
  await draw(<Shown />);
  const number = await screen.findByRole("textbox", { name: "Number" });
  await userEvent.type(number, "555");
  await userEvent.type(screen.getByRole("textbox", { name: "Reason" }), "Rings{Enter}");
  expect(await screen.findByText(/international form/)).toBeTruthy();
  expect(number.getAttribute("aria-invalid")).toBe("true");
  expect(number).toHaveProperty("value", "555");
});

test("what is removed can be put back with its reason and its end", async () => {
  const service = aService().on("DELETE /blocked-numbers/4", { status: 204 }).on("POST /blocked-numbers", { status: 201, body: LISTED });
  await draw(<Shown />);
  await userEvent.click(await screen.findByRole("button", { name: /^Remove .*0123/ }));
  await userEvent.click(await screen.findByRole("button", { name: /^Undo/ }));
  await screen.findByText(/^Undone/);
  expect(service.bodiesOf("POST /blocked-numbers")).toEqual([
    { number: "+14155550123", reason: "Threatens people", expires_at: null },
  ]);
});

test("the address says which list, and a number in it stays as it was written", () => {
  expect(parseNumbersSearch({ list: "do_not_call", q: 415, add: "+14155550123" })).toEqual({ list: "do_not_call", q: "415", add: "+14155550123" });
  expect(parseNumbersSearch({ list: "other", q: "" })).toEqual({ list: undefined, q: undefined, add: undefined });
});
