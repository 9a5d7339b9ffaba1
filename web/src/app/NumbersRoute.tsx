import { getRouteApi, useNavigate } from "@tanstack/react-router";

import { NumbersPage } from "@/features/numbers/NumbersPage";
import { ActBar } from "@/parts/ActBar";

const page = getRouteApi("/signed-in/numbers");

export function NumbersRoute() {
  const search = page.useSearch();
  const navigate = useNavigate();
  return (
    <>
      <NumbersPage search={search} onSearch={(next) => void navigate({ to: "/numbers", search: next, replace: true })} />
      <ActBar />
    </>
  );
}
