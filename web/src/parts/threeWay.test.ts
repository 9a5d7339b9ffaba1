import { expect, test } from "vitest";

import { changedFields, conflictsOf, follow } from "./threeWay";

const base = { name: "Anna", company: "", note: "" };

test("the same field with two new values is a conflict, with all three", () => {
  expect(conflictsOf(base, { ...base, name: "Anna K." }, { ...base, name: "Anna B.", note: "x" })).toEqual([
    { field: "name", base: "Anna", theirs: "Anna K.", yours: "Anna B." },
  ]);
});

test("different fields, and the same value from both, merge", () => {
  expect(conflictsOf(base, { ...base, company: "Acme" }, { ...base, name: "Ann" })).toEqual([]);
  expect(conflictsOf(base, { ...base, name: "Ann" }, { ...base, name: "Ann" })).toEqual([]);
});

test("lists are compared by what is in them", () => {
  expect(changedFields({ tags: ["a"] }, { tags: ["a"] })).toEqual({});
  expect(changedFields({ tags: ["a"] }, { tags: ["a", "b"] })).toEqual({ tags: ["a", "b"] });
});

test("what was typed stays when something newer arrives, the rest follows", () => {
  const theirs = { name: "Ann", company: "Acme", note: "theirs" };
  const followed = follow(base, { ...base, note: "typed" }, theirs);
  expect(followed.yours).toEqual({ name: "Ann", company: "Acme", note: "typed" });
  expect(followed.base).toEqual({ name: "Ann", company: "Acme", note: "" });
  expect(conflictsOf(followed.base, theirs, followed.yours)).toHaveLength(1);
});

test("a field that both changed alike is no longer changed", () => {
  const followed = follow(base, { ...base, name: "Ann" }, { ...base, name: "Ann" });
  expect(changedFields(followed.base, followed.yours)).toEqual({});
});
