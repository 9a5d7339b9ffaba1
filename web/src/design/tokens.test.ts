import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const css = readFileSync(join(import.meta.dirname, "tokens.css"), "utf8");

function tokensOf(scheme: "light" | "dark"): Map<string, string> {
  const block = new RegExp(`:root\\[data-mantine-color-scheme="${scheme}"\\]\\s*\\{([^}]*)\\}`).exec(css)?.[1] ?? "";
  return new Map([...block.matchAll(/--([\w-]+):\s*(#[0-9a-f]{6})/g)].map((match) => [match[1] ?? "", match[2] ?? ""]));
}

function luminance(hex: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5]
    .map((at) => parseInt(hex.slice(at, at + 2), 16) / 255)
    .map((channel) => (channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [high = 0, low = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}

const GROUNDS = ["ground", "surface", "surface-sunk", "surface-hover"];
const TONES = ["green", "amber", "red", "blue", "violet", "grey"];
const TEXT: [fg: string, bg: string][] = [
  ...["ink", "ink-soft", "ink-muted", "accent-ink"].flatMap((fg) => GROUNDS.map((bg): [string, string] => [fg, bg])),
  ...TONES.map((tone): [string, string] => [`tone-${tone}-fg`, `tone-${tone}-bg`]),
  ...TONES.map((tone): [string, string] => [`tone-${tone}-fg`, "surface"]),
  ["accent-ink", "accent-wash"],
  ["ink-muted", "accent-wash"],
  ["on-accent", "accent"],
  ["on-accent", "accent-hover"],
  ["on-go", "go"],
  ["on-go", "go-hover"],
  ["on-stop", "stop"],
  ["on-stop", "stop-hover"],
];
const EDGES: [fg: string, bg: string][] = [
  ["field-line", "surface"],
  ["accent-ink", "surface"],
  ["accent-ink", "ground"],
];

describe.each(["light", "dark"] as const)("%s", (scheme) => {
  const tokens = tokensOf(scheme);
  const of = (name: string) => {
    const value = tokens.get(name);
    if (value === undefined) throw new Error(`no token ${name}`);
    return value;
  };

  test.each(TEXT)("%s can be read on %s (4.5:1)", (fg, bg) => {
    expect(contrast(of(fg), of(bg))).toBeGreaterThanOrEqual(4.5);
  });

  test.each(EDGES)("%s can be seen on %s (3:1)", (fg, bg) => {
    expect(contrast(of(fg), of(bg))).toBeGreaterThanOrEqual(3);
  });
});
