import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useState } from "react";

import { QueueLine } from "@/features/acts/QueueLine";
import { ExplainDrawer } from "@/features/explain/ExplainDrawer";
import { FiguresPage } from "@/features/figures/FiguresPage";
import { WallboardsPanel } from "@/features/wall/WallboardsPanel";
import { ActBar } from "@/parts/ActBar";

const page = getRouteApi("/signed-in/figures");

export function FiguresRoute() {
  const search = page.useSearch();
  const navigate = useNavigate();
  const [explained, setExplained] = useState<number | null>(null);
  return (
    <>
      <FiguresPage
        search={search}
        onSearch={(next) => void navigate({ to: "/figures", search: next, replace: true })}
        line={(queue) => <QueueLine queue={queue} onExplain={setExplained} />}
        onExplain={setExplained}
        below={<WallboardsPanel />}
      />
      <ExplainDrawer workItem={explained} onClose={() => setExplained(null)} />
      <ActBar />
    </>
  );
}
