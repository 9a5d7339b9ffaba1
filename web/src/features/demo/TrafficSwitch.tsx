import { Switch } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";

import { setTraffic, traffic } from "./demoApi";

const KEY = ["demo", "traffic"] as const;

/** Simulated callers and agents in the background, so that the board moves. */
export function TrafficSwitch() {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const { data } = useQuery({ queryKey: KEY, queryFn: traffic, retry: false });
  const change = useMutation({
    mutationFn: setTraffic,
    onSuccess: (state) => queries.setQueryData(KEY, state),
  });
  return (
    <Switch
      label={t("demo.traffic")}
      checked={data?.on ?? false}
      disabled={data === undefined || change.isPending}
      onChange={(event) => change.mutate(event.currentTarget.checked)}
      data-testid="demo-traffic"
    />
  );
}
