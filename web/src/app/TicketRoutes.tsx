import { getRouteApi, useNavigate } from "@tanstack/react-router";

import { useMe } from "@/features/session/session";
import { TicketPage } from "@/features/tickets/TicketPage";
import { TicketsPage } from "@/features/tickets/TicketsPage";

const list = getRouteApi("/signed-in/tickets");
const single = getRouteApi("/signed-in/tickets/$ticketId");

export function TicketsRoute() {
  const search = list.useSearch();
  const navigate = useNavigate();
  return <TicketsPage search={search} onSearch={(next) => void navigate({ to: "/tickets", search: next })} />;
}

export function TicketRoute() {
  const { ticketId } = single.useParams();
  const me = useMe();
  return me ? <TicketPage id={ticketId} me={me} /> : null;
}
