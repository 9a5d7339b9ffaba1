import { getRouteApi } from "@tanstack/react-router";
import { useEffect } from "react";

import { WallView } from "@/features/wall/WallView";
import { showLanguage } from "@/i18n";

const page = getRouteApi("/wall");

/** What the screen is to look like stays in its address: a browser that somebody also works with keeps its own choices. */
export function WallRoute() {
  const { theme = "dark", lang, every } = page.useSearch();
  useEffect(() => {
    if (lang) void showLanguage(lang);
  }, [lang]);
  useEffect(() => {
    const root = document.documentElement;
    const before = root.getAttribute("data-mantine-color-scheme");
    root.setAttribute("data-mantine-color-scheme", theme === "light" ? "light" : "dark");
    return () => {
      if (before !== null) root.setAttribute("data-mantine-color-scheme", before);
    };
  }, [theme]);
  return (
    <main>
      <WallView token={location.hash.slice(1)} theme={theme} every={every} />
    </main>
  );
}
