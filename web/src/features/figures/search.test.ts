import { expect, test } from "vitest";

import { parseFiguresSearch, stretchOf } from "./search";

test("what an address does not know is left out", () => {
  expect(parseFiguresSearch({ period: "today", reading: "service_level_60", metric: "asa", queue: "support" })).toEqual({
    period: "today",
    reading: "service_level_60",
    metric: "asa",
    queue: "support",
  });
  expect(parseFiguresSearch({ period: "ever", reading: "mine", metric: "<b>", queue: 7 })).toEqual({
    period: undefined,
    reading: undefined,
    metric: undefined,
    queue: undefined,
  });
});

test("the half hour is the quarter that runs and the one before", () => {
  const now = Date.UTC(2026, 10, 28, 10, 59, 59);
  expect(stretchOf("half_hour", now)).toEqual({ from: "2026-11-28T10:30:00.000Z" });
  expect(stretchOf("half_hour", now + 1000)).toEqual({ from: "2026-11-28T10:45:00.000Z" });
});

test("days are asked for as days", () => {
  const noon = new Date(2026, 2, 1, 12).getTime();
  expect(stretchOf("today", noon)).toEqual({});
  expect(stretchOf("yesterday", noon)).toEqual({ from: "2026-02-28", to: "2026-03-01" });
  expect(stretchOf("week", noon)).toEqual({ from: "2026-02-23" });
});
