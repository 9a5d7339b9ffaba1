import { useTranslation } from "react-i18next";

import type { QueueStats } from "@/api/types";
import { QueueLine } from "@/features/acts/QueueLine";
import { FigureDrawer } from "@/features/figures/FigureDrawer";
import { useMetrics, useQueueFigures } from "@/features/figures/useFigures";
import { NowDrawer } from "@/features/queues/NowDrawer";
import { isOfCalls, type BoardNumber } from "@/features/queues/QueueBoard";
import { useText } from "@/i18n";

export interface OpenedNumber {
  /** Of the board, or a figure that was opened from another one. */
  number: string;
  queue?: string;
}

interface Props {
  opened: OpenedNumber | null;
  queues: QueueStats[];
  onOpen: (opened: OpenedNumber | null) => void;
  onExplain: (workItem: number) => void;
}

const isOfNow = (number: string | undefined): number is "ringing" | "in_call" =>
  (["ringing", "in_call"] satisfies BoardNumber[]).some((each) => each === number);

/** What stands behind a number of the floor: the figure of today with its formula and contacts, or the calls of this moment. */
export function FloorNumber({ opened, queues, onOpen, onExplain }: Props) {
  const { t } = useTranslation();
  const text = useText();
  const catalogue = useMetrics();
  const figures = useQueueFigures("today");
  const queue = queues.find(({ key }) => key === opened?.queue);
  const now = isOfNow(opened?.number) ? opened.number : null;
  const calls = queues.filter(isOfCalls);
  const line = (key: string) => <QueueLine queue={key} onExplain={onExplain} />;
  return (
    <>
      <NowDrawer
        number={now}
        queues={queue ? [queue] : calls}
        of={queue ? text(queue.name) : t("queue.totalOfAll", { count: calls.length })}
        line={line}
        onClose={() => onOpen(null)}
      />
      {catalogue.data && figures.data ? (
        <FigureDrawer
          opened={now === null ? opened?.number : undefined}
          queue={opened?.queue}
          period="today"
          reading="service_level"
          catalogue={catalogue.data}
          queues={figures.data}
          agents={undefined}
          onOpen={(number, of) => onOpen({ number, queue: of })}
          onClose={() => onOpen(null)}
          line={line}
          onExplain={onExplain}
        />
      ) : null}
    </>
  );
}
