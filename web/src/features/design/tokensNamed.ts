/** The names of the tokens in the style sheet that fit, in its order, each once. */
export function tokensNamed(css: string, pattern: RegExp): string[] {
  const names = [...css.matchAll(/^\s*--([\w-]+):/gm)].map((match) => match[1] ?? "");
  return [...new Set(names)].filter((name) => pattern.test(name));
}
