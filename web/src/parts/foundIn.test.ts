import { expect, test } from "vitest";

import { partsOf } from "./foundIn";

const marks = (text: string, q: string) => partsOf(text, q).filter(({ isFound }) => isFound).map((part) => part.text);

test("case and accents do not matter, and the text stays as it is", () => {
  expect(marks("Jürgen Schneider", "jurgen")).toEqual(["Jürgen"]);
  expect(marks("Straße 5", "strasse")).toEqual(["Straße"]);
  expect(partsOf("Jürgen", "rg").map(({ text }) => text).join("")).toBe("Jürgen");
});

test("part of a Chinese name is found, also a single character", () => {
  expect(marks("王小明", "小明")).toEqual(["小明"]);
  expect(marks("北京王氏电子有限公司", "王")).toEqual(["王"]);
});

test("all words are marked, wherever they stand", () => {
  expect(marks("Broken lamp, second lamp", "lamp broken")).toEqual(["Broken", "lamp", "lamp"]);
});

test("a number is found by its digits, however it is written", () => {
  expect(marks("+49 30 231 256 93", "030 23125")).toEqual(["30 231 25"]);
  expect(marks("T-2026-000123-8", "t-2026-000123")).toEqual(["T-2026-000123"]);
});

test("nothing asked, nothing marked", () => {
  expect(partsOf("lamp", "")).toEqual([{ text: "lamp", isFound: false }]);
  expect(marks("lamp", "%")).toEqual([]);
});
