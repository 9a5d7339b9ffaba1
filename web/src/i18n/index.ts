import i18next from "i18next";
import { initReactI18next, useTranslation } from "react-i18next";

import type { Language, Text } from "@/api/types";
import type en from "@/i18n/en.json";

declare module "i18next" {
  interface CustomTypeOptions {
    defaultNS: "ui";
    resources: { ui: typeof en };
  }
}

const STORED = "ringdesk.language";
const catalogs: Record<Language, () => Promise<{ default: object }>> = {
  en: () => import("@/i18n/en.json"),
  "zh-CN": () => import("@/i18n/zh-CN.json"),
};

function preferred(): Language {
  const stored = localStorage.getItem(STORED);
  if (stored === "en" || stored === "zh-CN") return stored;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh-CN" : "en";
}

async function load(language: Language): Promise<void> {
  if (!i18next.hasResourceBundle(language, "ui")) {
    i18next.addResourceBundle(language, "ui", (await catalogs[language]()).default);
  }
  document.documentElement.lang = language;
}

export async function startI18n(): Promise<void> {
  const language = preferred();
  await i18next.use(initReactI18next).init({
    lng: language,
    ns: ["ui"],
    defaultNS: "ui",
    fallbackLng: false,
    resources: {},
    interpolation: { escapeValue: false },
    react: { useSuspense: false },
  });
  await load(language);
  await i18next.changeLanguage(language);
}

export async function switchLanguage(language: Language): Promise<void> {
  await load(language);
  localStorage.setItem(STORED, language);
  await i18next.changeLanguage(language);
}

/** For this page alone: what the browser has chosen stays. */
export async function showLanguage(language: Language): Promise<void> {
  await load(language);
  await i18next.changeLanguage(language);
}

/** The language of the account, unless this browser has chosen one. */
export async function adoptLanguage(language: string | null): Promise<void> {
  if ((language === "en" || language === "zh-CN") && localStorage.getItem(STORED) === null && language !== i18next.language) {
    await load(language);
    await i18next.changeLanguage(language);
  }
}

export function useLanguage(): Language {
  return useTranslation().i18n.language === "zh-CN" ? "zh-CN" : "en";
}

/** Reads a two-language text of the service in the language of the page. */
export function useText(): (text: Text) => string {
  const language = useLanguage();
  return (text) => text[language] || text.en || Object.values(text)[0] || "";
}
