import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const css = readFileSync(join(import.meta.dirname, "tokens.css"), "utf8");

function tokensIn(selector: string): Map<string, string> {
  const block = new RegExp(`${selector}\\s*\\{([^}]*)\\}`, "m").exec(css)?.[1] ?? "";
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
  ["mark-fg", "mark-bg"],
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

const scheme = (name: string) => `\\[data-mantine-color-scheme="${name}"\\]`;
/** What a theme shows: high contrast lies over the theme beneath. */
const THEMES = ["light", "dark"].flatMap((name) => {
  const plain = tokensIn(`^:root${scheme(name)}`);
  const high = tokensIn(`^:root\\[data-contrast="high"\\]${scheme(name)}`);
  return [
    { name, tokens: plain, text: 4.5, edge: 3 },
    { name: `${name}, high contrast`, tokens: new Map([...plain, ...high]), text: 7, edge: 4.5 },
  ];
});

test("high contrast changes what can be changed", () => {
  expect(tokensIn(`^:root\\[data-contrast="high"\\]${scheme("light")}`).size).toBeGreaterThan(30);
  expect(tokensIn(`^:root\\[data-contrast="high"\\]${scheme("dark")}`).size).toBeGreaterThan(30);
});

describe.each(THEMES)("$name", ({ tokens, text, edge }) => {
  const of = (name: string) => {
    const value = tokens.get(name);
    if (value === undefined) throw new Error(`no token ${name}`);
    return value;
  };

  test.each(TEXT)("%s can be read on %s", (fg, bg) => {
    expect(contrast(of(fg), of(bg))).toBeGreaterThanOrEqual(text);
  });

  test.each(EDGES)("%s can be seen on %s", (fg, bg) => {
    expect(contrast(of(fg), of(bg))).toBeGreaterThanOrEqual(edge);
  });
});
