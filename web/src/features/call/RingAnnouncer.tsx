import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";

import type { ScreenPop } from "@/api/types";
import { clock } from "@/format/time";
import { useText } from "@/i18n";

import { useCallerName } from "./caller";

const FLASH_MS = 1000;

/** Says a ringing call once to assistive tech and in the window's title. It never moves the focus. */
export function RingAnnouncer({ offers }: { offers: ScreenPop[] }) {
  const { t } = useTranslation();
  const text = useText();
  const nameOf = useCallerName();
  const [said, setSaid] = useState<{ offer: number; words: string } | null>(null);
  const newest = offers.at(-1);
  if (newest && newest.offer_id !== said?.offer) {
    const words = t(newest.consult ? "pop.announceConsult" : "pop.announce", {
      by: newest.consult?.by,
      name: nameOf(newest),
      queue: text(newest.call.queue_name),
      time: clock(newest.call.waited_s),
    });
    setSaid({ offer: newest.offer_id, words });
  }
  const title = newest ? t("pop.windowTitle", { name: nameOf(newest) }) : null;
  useEffect(() => {
    if (title === null) return;
    const before = document.title;
    let isTitle = true;
    document.title = title;
    // It flashes for those who look at another window; who looks at this one sees the call.
    const flash = setInterval(() => {
      isTitle = !isTitle || document.hasFocus();
      document.title = isTitle ? title : before;
    }, FLASH_MS);
    return () => {
      clearInterval(flash);
      document.title = before;
    };
  }, [title]);
  return (
    <div role="alert" className="visually-hidden">
      {newest ? said?.words : null}
    </div>
  );
}
