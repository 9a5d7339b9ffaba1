import { getRouteApi, useNavigate } from "@tanstack/react-router";

import { CallLogPage } from "@/features/calls/CallLogPage";
import { useMe } from "@/features/session/session";

const list = getRouteApi("/signed-in/calls");

export function CallsRoute() {
  const me = useMe();
  const search = list.useSearch();
  const navigate = useNavigate();
  if (!me) return null;
  return <CallLogPage me={me} search={search} onSearch={(next) => void navigate({ to: "/calls", search: next })} />;
}
