import type { Language } from "@/api/types";

/** How a screen looks is in its address, since nobody logs in there to choose. */
export interface WallSearch {
  theme?: Theme;
  lang?: Language;
  /** Seconds until the next queues are shown. */
  every?: number;
}

export const THEMES = ["light", "dark", "contrast"] as const;
export type Theme = (typeof THEMES)[number];
export const EVERY_S = 15;
export const PER_PAGE = 6;

export function parseWallSearch(search: Record<string, unknown>): WallSearch {
  const every = Number(search.every);
  return {
    theme: THEMES.find((theme) => theme === search.theme),
    lang: search.lang === "en" || search.lang === "zh-CN" ? search.lang : undefined,
    every: every >= 5 && every <= 600 ? Math.floor(every) : undefined,
  };
}

/** Queues in pages of equal fullness: seven are four and three, not six and one. */
export function pagesOf<Item>(items: Item[], most = PER_PAGE): Item[][] {
  const pages = Math.max(1, Math.ceil(items.length / most));
  const size = Math.ceil(items.length / pages);
  return Array.from({ length: pages }, (_, page) => items.slice(page * size, (page + 1) * size));
}
