import { getRouteApi, useNavigate } from "@tanstack/react-router";

import { useMe } from "@/features/session/session";
import type { TicketSearch } from "@/features/tickets/search";
import { TicketPage } from "@/features/tickets/TicketPage";
import { TicketsPage } from "@/features/tickets/TicketsPage";

const list = getRouteApi("/signed-in/tickets");
const single = getRouteApi("/signed-in/tickets/$ticketId");

export function TicketsRoute() {
  const search = list.useSearch();
  const navigate = useNavigate();
  const me = useMe();
  const show = (next: TicketSearch) => void navigate({ to: "/tickets", search: next });
  return me ? <TicketsPage search={search} me={me} onSearch={show} /> : null;
}

export function TicketRoute() {
  const { ticketId } = single.useParams();
  const me = useMe();
  return me ? <TicketPage id={ticketId} me={me} /> : null;
}
