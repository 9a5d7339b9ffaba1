import { expect, test } from "vitest";

import { pagesOf, parseWallSearch } from "./search";

test("pages are as full as each other", () => {
  const sizes = (count: number) => pagesOf(Array.from({ length: count }, (_, n) => n)).map((page) => page.length);
  expect(sizes(0)).toEqual([0]);
  expect(sizes(6)).toEqual([6]);
  expect(sizes(7)).toEqual([4, 3]);
  expect(sizes(13)).toEqual([5, 5, 3]);
});

test("what an address does not know is left out", () => {
  expect(parseWallSearch({ theme: "contrast", lang: "zh-CN", every: 20 })).toEqual({ theme: "contrast", lang: "zh-CN", every: 20 });
  expect(parseWallSearch({ theme: "pink", lang: "xx", every: 0.1 })).toEqual({ theme: undefined, lang: undefined, every: undefined });
});
