import { expect, test } from "vitest";

import { aMetric } from "@/test/builders";

import { shownParts, shownValue } from "./shown";

test("nothing to divide by is a dash, neither 0 nor 100", () => {
  expect(shownValue("percent", null, "en")).toBe("—");
  expect(shownValue("seconds", null, "en")).toBe("—");
  expect(shownValue("percent", 0, "en")).toBe("0.0 %");
});

test("values in their unit", () => {
  expect(shownValue("percent", 66.7, "en")).toBe("66.7 %");
  expect(shownValue("percent", 100, "en")).toBe("100 %");
  expect(shownValue("seconds", 16.667, "en")).toBe("16.7 s");
  expect(shownValue("seconds", 130.4, "en")).toBe("2:10");
  expect(shownValue("count", 1204, "en")).toBe("1,204");
});

test("what was divided, times as times", () => {
  const level = aMetric();
  expect(shownParts(level, { value: 66.7, numerator: 12, denominator: 18 }, "en")).toBe("12 ÷ 18");
  const asa = aMetric({ key: "asa", unit: "seconds", numerator: ["wait_answered_us"], denominator: ["answered"] });
  expect(shownParts(asa, { value: 16.7, numerator: 250, denominator: 15 }, "en")).toBe("4:10 ÷ 15");
  expect(shownParts(aMetric({ denominator: [] }), { value: 3, numerator: 3, denominator: null }, "en")).toBeNull();
});
