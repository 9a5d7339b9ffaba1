import { Button, CopyButton, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type SubmitEvent, useState } from "react";
import { useTranslation } from "react-i18next";

import * as api from "@/api/endpoints";
import { asProblem } from "@/api/problem";
import type { Wallboard } from "@/api/types";
import { Callout, ErrorState } from "@/design/Notice";
import { Panel } from "@/design/Panel";
import table from "@/design/Table.module.css";
import { useProblemText } from "@/design/useProblemText";
import { dateTime } from "@/format/time";
import { useLanguage } from "@/i18n";

import classes from "./WallboardsPanel.module.css";

const KEY = ["wallboards"] as const;

/** Links for screens on the wall: made with a name, shown once, revoked when the screen is gone. */
export function WallboardsPanel() {
  const { t } = useTranslation();
  const problemText = useProblemText();
  const queries = useQueryClient();
  const [label, setLabel] = useState("");
  const found = useQuery({ queryKey: KEY, queryFn: api.wallboards });
  const again = () => queries.invalidateQueries({ queryKey: KEY });
  const create = useMutation({
    mutationFn: api.createWallboard,
    onSuccess: () => {
      setLabel("");
      return again();
    },
  });
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (label.trim() !== "") create.mutate(label.trim());
  };
  const items = found.data?.items ?? [];
  return (
    <Panel title={t("wall.boards")} count={found.data ? items.length : undefined} testId="wallboards">
      <div className={classes.content}>
        <p className={classes.soft}>{t("wall.about")}</p>
        <form className={classes.form} onSubmit={submit}>
          <TextInput
            className={classes.label}
            label={t("wall.label")}
            placeholder={t("wall.labelHint")}
            maxLength={80}
            value={label}
            onChange={(event) => setLabel(event.currentTarget.value)}
            error={create.error ? problemText(asProblem(create.error)) : undefined}
          />
          <Button type="submit" variant="default" loading={create.isPending} disabled={label.trim() === ""}>
            {t("wall.create")}
          </Button>
        </form>
        {create.data ? <Link label={create.data.label} token={create.data.token} /> : null}
        {found.error ? <ErrorState error={found.error} retry={() => void found.refetch()} /> : null}
        {items.length > 0 ? <Boards items={items} onRevoked={again} /> : null}
      </div>
    </Panel>
  );
}

/** The secret stands behind the hash: browsers do not send it, so no log of a proxy holds it. */
function Link({ label, token }: { label: string; token: string }) {
  const { t } = useTranslation();
  const address = `${location.origin}/wall#${token}`;
  return (
    <div role="status">
      <Callout
        tone="blue"
        action={
          <CopyButton value={address}>
            {({ copied, copy }) => (
              <Button size="compact-sm" variant="default" onClick={copy}>
                {t(copied ? "wall.copied" : "wall.copy")}
              </Button>
            )}
          </CopyButton>
        }
      >
        <p>{t("wall.once", { label })}</p>
        <code className={classes.address} data-testid="wall-link">
          {address}
        </code>
      </Callout>
    </div>
  );
}

function Boards({ items, onRevoked }: { items: Wallboard[]; onRevoked: () => Promise<void> }) {
  const { t } = useTranslation();
  const language = useLanguage();
  const revoke = useMutation({ mutationFn: api.revokeWallboard, onSuccess: onRevoked });
  return (
    <div className={classes.frame}>
      <table className={table.table}>
        <thead>
          <tr>
            <th scope="col">{t("wall.label")}</th>
            <th scope="col">{t("wall.madeBy")}</th>
            <th scope="col">{t("calls.time")}</th>
            <th scope="col">
              <span className="visually-hidden">{t("agents.actions")}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {items.map((board) => (
            <tr key={board.id}>
              <th scope="row">{board.label}</th>
              <td>{board.created_by}</td>
              <td>{dateTime(board.created_at, language)}</td>
              <td className={table.number}>
                <Button
                  size="compact-sm"
                  variant="default"
                  aria-label={t("wall.revokeOf", { label: board.label })}
                  loading={revoke.isPending && revoke.variables === board.id}
                  onClick={() => revoke.mutate(board.id)}
                >
                  {t("wall.revoke")}
                </Button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
