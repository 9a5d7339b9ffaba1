import { ActionIcon } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { ChevronLeft, ChevronRight, Maximize, Pause, Play } from "lucide-react";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";

import * as api from "@/api/endpoints";
import { asProblem } from "@/api/problem";
import type { Wall, WallQueue } from "@/api/types";
import { usePageTitle } from "@/design/usePageTitle";
import { clock, secondsSince, timeOfDay, useNow } from "@/format/time";
import { useLanguage, useText } from "@/i18n";
import { observeServerTime } from "@/live/clock";

import { EVERY_S, pagesOf, type Theme } from "./search";
import classes from "./WallView.module.css";

const STALE_S = 5;
const READ_EVERY_MS = 1000;

interface Props {
  token: string;
  theme: Theme;
  every?: number;
}

/** A screen on the wall: figures of the queues, large, page by page. Grey when nothing new has come for five seconds. */
export function WallView({ token, theme, every = EVERY_S }: Props) {
  const { t } = useTranslation();
  usePageTitle(t("wall.title"));
  const found = useQuery({
    queryKey: ["wall", token],
    queryFn: async () => {
      const wall = await api.wall(token);
      observeServerTime(wall.as_of);
      return wall;
    },
    enabled: token !== "",
    retry: false,
    // A link that was revoked stays so: what is not asked any more is no load.
    refetchInterval: ({ state }) => (isRefused(state.error) ? false : READ_EVERY_MS),
    refetchIntervalInBackground: true,
  });
  const isOver = token === "" || isRefused(found.error);
  return (
    <div className={classes.wall} data-theme={theme} data-testid="wall">
      <h1 className="visually-hidden">{t("wall.title")}</h1>
      {isOver ? (
        <p className={classes.notice} role="alert">
          {t("wall.refused")}
        </p>
      ) : found.data ? (
        <Shown wall={found.data} every={every} />
      ) : (
        <p className={classes.notice} role="status">
          {t("wall.loading")}
        </p>
      )}
    </div>
  );
}

function isRefused(error: unknown): boolean {
  return error !== null && asProblem(error).status === 403;
}

function Shown({ wall, every }: { wall: Wall; every: number }) {
  const { t } = useTranslation();
  const language = useLanguage();
  const now = useNow();
  const age = secondsSince(wall.as_of, now);
  const isStale = age > STALE_S;
  const pages = pagesOf(wall.queues);
  const { page, isPaused, go, setPaused } = useTurning(pages.length, every);
  const shown = pages[page] ?? [];
  return (
    <div className={classes.frame} data-stale={isStale || undefined}>
      <Equivalent wall={wall} />
      {/* The table says all of it to those who do not see the screen, whatever page it shows. */}
      <header className={classes.head} aria-hidden="true">
        <Number label={t("wall.level")} value={level(wall.total)} />
        <Number label={t("wall.waiting")} value={String(wall.total.waiting)} />
        <Number label={t("wall.longest")} value={longest(wall.total, isStale ? 0 : age)} />
        <span className={classes.clock}>{timeOfDay(new Date(now).toISOString(), language)}</span>
      </header>
      <ul className={classes.tiles} data-count={shown.length} aria-hidden="true">
        {shown.map((queue) => (
          <Tile key={queue.key} queue={queue} age={isStale ? 0 : age} />
        ))}
      </ul>
      <footer className={classes.foot}>
        <p className={classes.age} role={isStale ? "status" : undefined} data-testid="wall-age">
          {t(isStale ? "wall.stale" : "wall.asOf", { seconds: Math.floor(age) })}
        </p>
        <div className={classes.controls}>
          {pages.length > 1 ? (
            <>
              <Control label={t("wall.previous")} onClick={() => go(page - 1)} icon={<ChevronLeft />} />
              <span className={classes.page}>{t("wall.page", { page: page + 1, pages: pages.length })}</span>
              <Control label={t("wall.next")} onClick={() => go(page + 1)} icon={<ChevronRight />} />
              <Control
                label={t(isPaused ? "wall.resume" : "wall.pause")}
                onClick={() => setPaused(!isPaused)}
                icon={isPaused ? <Play /> : <Pause />}
              />
            </>
          ) : null}
          <Control
            label={t("wall.full")}
            onClick={() => void document.documentElement.requestFullscreen()}
            icon={<Maximize />}
          />
        </div>
      </footer>
    </div>
  );
}

/** The next page after so many seconds. Whoever has asked for less motion turns the pages by hand. */
function useTurning(pages: number, every: number) {
  const [turned, setTurned] = useState(0);
  const [isPaused, setPaused] = useState(() => globalThis.matchMedia("(prefers-reduced-motion: reduce)").matches);
  const page = ((turned % pages) + pages) % pages;
  useEffect(() => {
    if (isPaused || pages < 2) return;
    const timer = setTimeout(() => setTurned(page + 1), every * 1000);
    return () => clearTimeout(timer);
  }, [isPaused, page, pages, every]);
  return { page, isPaused, go: setTurned, setPaused };
}

function Tile({ queue, age }: { queue: WallQueue; age: number }) {
  const { t } = useTranslation();
  const text = useText();
  const isMet = isLevelMet(queue);
  const waited = queue.longest_wait_s === null ? null : queue.longest_wait_s + age;
  return (
    <li className={classes.tile} data-met={isMet ?? undefined} data-testid={`wall-${queue.key}`}>
      <span className={classes.name}>
        {text(queue.name)}
        {queue.is_held ? <em className={classes.held}>{t("queue.held")}</em> : null}
      </span>
      <span className={classes.main}>
        <span className={classes.big} data-late={(waited !== null && waited > queue.service_level.within_s) || undefined}>
          {queue.waiting}
          <small>{t("wall.waiting")}</small>
        </span>
        <span className={classes.big} data-late={(waited !== null && waited > queue.service_level.within_s) || undefined}>
          {longest(queue, age)}
          <small>{t("wall.longest")}</small>
        </span>
      </span>
      <span className={classes.rest}>
        <span className={classes.level}>
          {level(queue.service_level)}
          <small>{isMet === null ? t("queue.serviceLevel") : t(isMet ? "wall.met" : "wall.missed", { target: Math.round(queue.service_level.target * 100) })}</small>
        </span>
        <span>
          {`${queue.agents_available}/${queue.agents_signed_in}`}
          <small>{t("wall.free")}</small>
        </span>
        <span>
          {queue.abandoned_today}
          <small>{t("queue.abandoned")}</small>
        </span>
      </span>
    </li>
  );
}

function Number({ label, value }: { label: string; value: string }) {
  return (
    <span className={classes.number}>
      {value}
      <small>{label}</small>
    </span>
  );
}

function Control({ label, onClick, icon }: { label: string; onClick: () => void; icon: React.ReactNode }) {
  return (
    <ActionIcon variant="subtle" color="gray" size={40} className={classes.control} aria-label={label} onClick={onClick}>
      {icon}
    </ActionIcon>
  );
}

/** All queues at once, for those who hear the page. */
function Equivalent({ wall }: { wall: Wall }) {
  const { t } = useTranslation();
  const text = useText();
  return (
    <div className="visually-hidden">
      <table>
        <caption>{t("wall.title")}</caption>
        <thead>
          <tr>
            <th scope="col">{t("queue.name")}</th>
            <th scope="col">{t("wall.waiting")}</th>
            <th scope="col">{t("wall.longest")}</th>
            <th scope="col">{t("wall.level")}</th>
            <th scope="col">{t("wall.free")}</th>
            <th scope="col">{t("queue.answered")}</th>
            <th scope="col">{t("queue.abandoned")}</th>
          </tr>
        </thead>
        <tbody>
          {wall.queues.map((queue) => (
            <tr key={queue.key}>
              <th scope="row">{text(queue.name)}</th>
              <td>{queue.waiting}</td>
              <td>{longest(queue, 0)}</td>
              <td>{level(queue.service_level)}</td>
              <td>{`${queue.agents_available}/${queue.agents_signed_in}`}</td>
              <td>{queue.answered_today}</td>
              <td>{queue.abandoned_today}</td>
            </tr>
          ))}
          <tr>
            <th scope="row">{t("wall.total")}</th>
            <td>{wall.total.waiting}</td>
            <td>{longest(wall.total, 0)}</td>
            <td>{level(wall.total)}</td>
            <td>—</td>
            <td>{wall.total.answered_today}</td>
            <td>{wall.total.abandoned_today}</td>
          </tr>
        </tbody>
      </table>
    </div>
  );
}

/** Nothing decided is a dash, neither 0 nor 100. */
function level({ numerator, denominator }: { numerator: number; denominator: number }): string {
  if (denominator === 0) return "—";
  return `${numerator === denominator ? "100" : ((100 * numerator) / denominator).toFixed(1)} %`;
}

function isLevelMet({ service_level: { numerator, denominator, target } }: WallQueue): boolean | null {
  return denominator === 0 ? null : numerator / denominator >= target;
}

function longest({ waiting, longest_wait_s }: { waiting: number; longest_wait_s: number | null }, age: number): string {
  return waiting === 0 || longest_wait_s === null ? "—" : clock(longest_wait_s + age);
}
