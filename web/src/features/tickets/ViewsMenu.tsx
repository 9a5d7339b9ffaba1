import { ActionIcon, Button, Checkbox, Modal, Popover, TextInput } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { Bookmark, ChevronDown, Pencil, Trash2, Users } from "lucide-react";
import { type SubmitEvent, useState } from "react";
import { useTranslation } from "react-i18next";

import { asProblem } from "@/api/problem";
import type { Me, TicketView } from "@/api/types";
import { Callout } from "@/design/Notice";
import { useProblemText } from "@/design/useProblemText";

import { isSameList, queryOf, searchOf, type TicketSearch } from "./search";
import classes from "./TicketsPage.module.css";
import { useChangeView, useDeleteView, useSaveView, useViews } from "./useViews";

/** Lists with a name: one's own and those shared with everybody. Each is a link, and the one on the screen is known by its filters. */
export function ViewsMenu({ search, me }: { search: TicketSearch; me: Me }) {
  const { t } = useTranslation();
  const views = useViews();
  const [isOpen, setOpen] = useState(false);
  const [naming, setNaming] = useState<Naming | null>(null);
  const current = views.find((view) => isSameList(searchOf(view.query), search));
  const mayShare = me.role === "supervisor" || me.role === "admin";
  return (
    <>
      <Popover position="bottom-start" width={320} trapFocus returnFocus opened={isOpen} onChange={setOpen}>
        <Popover.Target>
          <Button
            variant="default"
            leftSection={<Bookmark size={16} aria-hidden="true" />}
            rightSection={<ChevronDown size={14} aria-hidden="true" />}
            onClick={() => setOpen(!isOpen)}
          >
            {current?.name ?? t("views.title")}
          </Button>
        </Popover.Target>
        <Popover.Dropdown p="xs" aria-label={t("views.title")}>
          {views.length === 0 ? <p className={classes.soft}>{t("views.none")}</p> : null}
          <ul>
            {views.map((view) => (
              <li key={view.id} className={classes.view}>
                <Link
                  to="/tickets"
                  search={searchOf(view.query)}
                  className={classes.viewLink}
                  aria-current={view === current ? "true" : undefined}
                  onClick={() => setOpen(false)}
                >
                  <span className="truncate">{view.name}</span>
                  {view.is_shared ? <Shared view={view} /> : null}
                </Link>
                {view.is_mine ? (
                  <ActionIcon
                    variant="subtle"
                    color="gray"
                    size={28}
                    aria-label={t("views.rename", { name: view.name })}
                    onClick={() => {
                      setOpen(false);
                      setNaming({ view });
                    }}
                  >
                    <Pencil size={15} />
                  </ActionIcon>
                ) : null}
                {view.is_mine || mayShare ? <Delete view={view} /> : null}
              </li>
            ))}
          </ul>
          {me.role === "auditor" || me.role === "integration" ? null : (
            <Button
              variant="subtle"
              fullWidth
              justify="flex-start"
              onClick={() => {
                setOpen(false);
                setNaming({});
              }}
            >
              {t("views.save")}
            </Button>
          )}
        </Popover.Dropdown>
      </Popover>
      <Modal
        opened={naming !== null}
        onClose={() => setNaming(null)}
        title={naming?.view ? t("views.rename", { name: naming.view.name }) : t("views.save")}
        closeButtonProps={{ "aria-label": t("action.close") }}
      >
        {naming ? <NameForm search={search} view={naming.view} mayShare={mayShare} onDone={() => setNaming(null)} /> : null}
      </Modal>
    </>
  );
}

/** The list on the screen gets a name, or a view another one. */
interface Naming {
  view?: TicketView;
}

function Shared({ view }: { view: TicketView }) {
  const { t } = useTranslation();
  return (
    <span className={classes.shared}>
      <Users size={14} aria-hidden="true" />
      {view.is_mine ? t("views.sharedByMe") : t("views.sharedBy", { name: view.owner })}
    </span>
  );
}

function Delete({ view }: { view: TicketView }) {
  const { t } = useTranslation();
  const remove = useDeleteView();
  return (
    <ActionIcon
      variant="subtle"
      color="gray"
      size={28}
      loading={remove.isPending}
      aria-label={t("views.delete", { name: view.name })}
      onClick={() => remove.mutate(view.id)}
    >
      <Trash2 size={15} />
    </ActionIcon>
  );
}

interface NameFormProps extends Naming {
  search: TicketSearch;
  mayShare: boolean;
  onDone: () => void;
}

function NameForm({ search, view, mayShare, onDone }: NameFormProps) {
  const { t } = useTranslation();
  const problemText = useProblemText();
  const [name, setName] = useState(view?.name ?? "");
  const [isShared, setShared] = useState(view?.is_shared ?? false);
  const save = useSaveView();
  const change = useChangeView();
  const { error, isPending } = view ? change : save;
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (view) {
      const shared = isShared === view.is_shared ? {} : { is_shared: isShared };
      change.mutate({ view, change: { name: name.trim(), ...shared } }, { onSuccess: onDone });
      return;
    }
    save.mutate({ name: name.trim(), query: queryOf(search), is_shared: isShared }, { onSuccess: onDone });
  };
  return (
    <form onSubmit={submit} className={classes.nameForm}>
      <TextInput
        label={t("views.name")}
        description={view ? undefined : t("views.nameHint")}
        maxLength={60}
        data-autofocus
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      {mayShare ? (
        <Checkbox
          label={t("views.share")}
          checked={isShared}
          onChange={(event) => setShared(event.currentTarget.checked)}
        />
      ) : null}
      {error ? (
        <div role="alert">
          <Callout tone="red">{problemText(asProblem(error))}</Callout>
        </div>
      ) : null}
      <Button type="submit" loading={isPending} disabled={name.trim() === ""}>
        {t("action.save")}
      </Button>
    </form>
  );
}
