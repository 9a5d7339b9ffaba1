import { expect, test } from "vitest";

import { formatPhone, isWithheld, zoneOf } from "./phone";
import { ago, clock, timeIn } from "./time";

test.each([
  ["+14155550199", "+1 (415) 555-0199"],
  ["+4930901820", "+49 30 901 820"],
  ["+8613800000001", "+86 138 0000 0001"],
  ["+862155550123", "+86 21 5555 0123"],
  ["+442079460018", "+44 207 946 0018"],
  ["+35312345678", "+353 123 456 78"],
  ["anonymous", "anonymous"],
  ["sip:ava@example.com", "sip:ava@example.com"],
  ["110", "110"],
])("%s is shown as %s", (number, shown) => {
  expect(formatPhone(number)).toBe(shown);
});

test("the caller's zone is only given where it is certain", () => {
  expect(zoneOf("+14155550199")).toBe("America/Los_Angeles");
  expect(zoneOf("+4930901820")).toBe("Europe/Berlin");
  expect(zoneOf("+8613800000001")).toBe("Asia/Shanghai");
  expect(zoneOf("+18005550199")).toBeNull();
  expect(zoneOf("+5511955550199")).toBeNull();
  expect(zoneOf("anonymous")).toBeNull();
});

test("a hidden number is recognised by its stand-in", () => {
  expect(isWithheld("Anonymous")).toBe(true);
  expect(isWithheld("+14155550199")).toBe(false);
});

test.each([
  [0, "0:00"],
  [-3, "0:00"],
  [7.9, "0:07"],
  [130, "2:10"],
  [3730, "1:02:10"],
])("%s seconds read %s", (seconds, shown) => {
  expect(clock(seconds)).toBe(shown);
});

test("time is told in the page's language", () => {
  const at = Date.parse("2026-11-22T10:00:00Z");
  expect(ago("2026-11-22T09:55:00Z", at, "en")).toBe("5 min. ago");
  expect(ago("2026-11-22T09:55:00Z", at, "zh-CN")).toBe("5分钟前");
  expect(timeIn("Asia/Shanghai", at, "zh-CN")).toBe("18:00");
});
