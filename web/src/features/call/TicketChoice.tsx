import { Button, Menu } from "@mantine/core";
import { ChevronDown, FilePlus2 } from "lucide-react";
import { useTranslation } from "react-i18next";

import { asProblem } from "@/api/problem";
import type { ScreenPop } from "@/api/types";
import { Callout } from "@/design/Notice";
import { useProblemText } from "@/design/useProblemText";
import { TicketStateChip } from "@/parts/TicketParts";

import classes from "./ActiveCall.module.css";
import { useChooseTicket } from "./commands";
import { PopTicket } from "./PopTicket";

/** The ticket the call is attached to, and one step to another open one or a new one. */
export function TicketChoice({ pop }: { pop: ScreenPop }) {
  const { t } = useTranslation();
  const problemText = useProblemText();
  const choose = useChooseTicket(pop);
  const others = pop.other_tickets.filter((ticket) => ticket.id !== pop.ticket.id);
  return (
    <div className={classes.ticketChoice}>
      <PopTicket ticket={pop.ticket} restricted={pop.restricted_tickets} isAttached />
      <Menu position="bottom-end" width={340}>
        <Menu.Target>
          <Button
            variant="default"
            size="xs"
            className={classes.ticketMenu}
            loading={choose.isPending}
            rightSection={<ChevronDown size={14} aria-hidden="true" />}
          >
            {others.length > 0 ? t("call.otherTicketCount", { count: others.length }) : t("call.otherTicket")}
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          {others.map((ticket) => (
            <Menu.Item
              key={ticket.id}
              onClick={() => choose.mutate(ticket.id)}
              rightSection={<TicketStateChip state={ticket.state} />}
            >
              <span className={classes.menuTicket}>
                <span className="truncate">{ticket.subject}</span>
                <span className={classes.soft}>{ticket.number}</span>
              </span>
            </Menu.Item>
          ))}
          {pop.ticket.is_new ? (
            <Menu.Label>{t("call.alreadyNew")}</Menu.Label>
          ) : (
            <Menu.Item leftSection={<FilePlus2 size={16} aria-hidden="true" />} onClick={() => choose.mutate(null)}>
              {t("call.newTicket")}
            </Menu.Item>
          )}
        </Menu.Dropdown>
      </Menu>
      {choose.error ? (
        <div className={classes.wide} role="alert">
          <Callout tone="red">{problemText(asProblem(choose.error))}</Callout>
        </div>
      ) : null}
    </div>
  );
}
