import { getRouteApi, useNavigate } from "@tanstack/react-router";

import { hasDesk } from "@/app/shell/navigation";
import { CustomerPage } from "@/features/customers/CustomerPage";
import { CustomersPage } from "@/features/customers/CustomersPage";
import { useMe } from "@/features/session/session";

const list = getRouteApi("/signed-in/customers");
const single = getRouteApi("/signed-in/customers/$customerId");

export function CustomersRoute() {
  const { q = "" } = list.useSearch();
  const navigate = useNavigate();
  const search = (words: string) =>
    void navigate({ to: "/customers", search: { q: words === "" ? undefined : words }, replace: true });
  return <CustomersPage q={q} onSearch={search} />;
}

export function CustomerRoute() {
  const { customerId } = single.useParams();
  const me = useMe();
  return <CustomerPage id={Number(customerId)} mayCall={me != null && hasDesk(me.role)} />;
}
