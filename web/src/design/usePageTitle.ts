import { useEffect } from "react";

/** The window's title while this page is shown. */
export function usePageTitle(name: string): void {
  useEffect(() => {
    document.title = `${name} · Ringdesk`;
    return () => {
      document.title = "Ringdesk";
    };
  }, [name]);
}
