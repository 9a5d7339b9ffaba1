import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

import en from "./en.json";
import zh from "./zh-CN.json";

interface Tree {
  [key: string]: string | Tree;
}
const PLURAL = /_(zero|one|two|few|many|other)$/;

function flat(tree: Tree, prefix = ""): Map<string, string> {
  const entries = Object.entries(tree).flatMap(([key, value]): [string, string][] =>
    typeof value === "string" ? [[`${prefix}${key}`, value]] : [...flat(value, `${prefix}${key}.`)],
  );
  return new Map(entries);
}
const keysOf = (tree: Tree) => new Set([...flat(tree).keys()].map((key) => key.replace(PLURAL, "")));

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sources(path);
    return /\.tsx?$/.test(entry.name) && !entry.name.includes(".test.") ? [readFileSync(path, "utf8")] : [];
  });
}

const code = sources(join(import.meta.dirname, "..")).join("\n");
const LITERAL = /["'`]([a-zA-Z]\w*(?:\.[\w-]+)+)["'`]/g;
const TEMPLATE = /`([a-zA-Z]\w*(?:\.\w+)*\.)\$\{[^`]*?\}(\.\w+)?`/g;
const literals = new Set([...code.matchAll(LITERAL)].map((match) => match[1] ?? ""));
const templates = [...code.matchAll(TEMPLATE)].map((match) => ({ start: match[1] ?? "", end: match[2] ?? "" }));
const isUsed = (key: string) =>
  literals.has(key) || templates.some(({ start, end }) => key.startsWith(start) && key.endsWith(end));

describe("catalogs", () => {
  test("both languages have the same keys", () => {
    expect([...keysOf(zh)].sort()).toEqual([...keysOf(en)].sort());
  });

  test("every key that the screens ask for exists", () => {
    const called = [...code.matchAll(/\bt\(\s*["']([\w.-]+)["']/g)].map((match) => match[1] ?? "");
    const missing = called.filter((key) => !keysOf(en).has(key));
    expect(missing).toEqual([]);
  });

  test("no key is unused", () => {
    const unused = [...keysOf(en)].filter((key) => !isUsed(key));
    expect(unused).toEqual([]);
  });

  test("no text is empty, and placeholders agree", () => {
    const placeholders = (text: string) => [...text.matchAll(/\{\{(\w+)\}\}/g)].map((match) => match[1]).sort();
    const chinese = flat(zh);
    for (const [key, text] of flat(en)) {
      expect(text.trim(), key).not.toBe("");
      const other = chinese.get(key) ?? chinese.get(key.replace(PLURAL, "_other"));
      expect(placeholders(other ?? ""), key).toEqual(placeholders(text));
    }
  });
});
