import { ShieldCheck, Star, Users } from "lucide-react";
import { useTranslation } from "react-i18next";

import type { Evidence, Identity } from "@/api/types";
import { Chip } from "@/design/Chip";
import { formatPhone } from "@/format/phone";
import { monthOf } from "@/format/time";
import { useLanguage } from "@/i18n";

import classes from "./CustomerParts.module.css";

const PLAIN = new Set(["", "standard", "normal", "basic", "regular"]);

export function TierChip({ tier }: { tier: string | null }) {
  if (tier === null || PLAIN.has(tier.toLowerCase())) return null;
  const isTop = ["vip", "gold", "platinum"].includes(tier.toLowerCase());
  return (
    <Chip tone={isTop ? "violet" : "grey"} icon={isTop ? <Star /> : undefined}>
      {tier.length <= 3 ? tier.toUpperCase() : tier.charAt(0).toUpperCase() + tier.slice(1)}
    </Chip>
  );
}

export function identityText({ kind, value }: Pick<Identity, "kind" | "value">): string {
  return kind === "phone" ? formatPhone(value) : value;
}

const isOnlyChosen = (evidence: Evidence | Identity) => "source" in evidence && evidence.source === "choice";

/** Why we think it is this person: which number or address, what it is called, and how far it can be trusted. */
export function EvidenceLine({ evidence }: { evidence: Evidence | Identity }) {
  const { t } = useTranslation();
  const language = useLanguage();
  return (
    <span className={classes.evidence}>
      <span className={classes.value}>{identityText(evidence)}</span>
      {evidence.label ? <span>· {evidence.label}</span> : null}
      {evidence.is_shared ? (
        <Chip tone="amber" icon={<Users />}>
          {t("customer.shared")}
        </Chip>
      ) : null}
      {evidence.verified_at ? (
        <Chip tone="green" icon={<ShieldCheck />}>
          {t("customer.verified", { when: monthOf(evidence.verified_at, language) })}
        </Chip>
      ) : (
        <span className={classes.soft}>· {t(isOnlyChosen(evidence) ? "customer.notTheirs" : "customer.notVerified")}</span>
      )}
    </span>
  );
}

/** A language code as its name in the language of the page. */
export function languageName(code: string, inLanguage: string): string {
  try {
    return new Intl.DisplayNames([inLanguage], { type: "language" }).of(code) ?? code;
  } catch {
    return code;
  }
}

export function Avatar({ name, size = 32 }: { name: string; size?: number }) {
  const parts = name.trim().split(/\s+/);
  const isCjk = /\p{Script=Han}/u.test(name);
  const initials = isCjk ? name.slice(0, 1) : ((parts[0]?.[0] ?? "") + (parts.length > 1 ? (parts.at(-1)?.[0] ?? "") : ""));
  return (
    <span className={classes.avatar} style={{ width: size, height: size, fontSize: size * 0.38 }} aria-hidden="true">
      {initials.toUpperCase()}
    </span>
  );
}
