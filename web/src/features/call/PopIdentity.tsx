import { Building2, Clock, HelpCircle, Languages, PhoneOff, Shield, ShieldAlert, ShieldCheck, Users } from "lucide-react";
import { useTranslation } from "react-i18next";

import type { Candidate, ScreenPop } from "@/api/types";
import { formatPhone, zoneOf } from "@/format/phone";
import { timeIn, useNow } from "@/format/time";
import { useLanguage } from "@/i18n";
import { Avatar, EvidenceLine, languageName, TierChip } from "@/parts/CustomerParts";

import { chosenCandidate, useCallerName } from "./caller";
import { ChosenBefore } from "./Candidates";
import classes from "./Pop.module.css";

/** Identity first: the name, the facts that change how one answers, and the evidence for it. */
export function PopIdentity({ pop, pickedId = null }: { pop: ScreenPop; pickedId?: number | null }) {
  const nameOf = useCallerName();
  const name = nameOf(pop, pickedId);
  const { call, customer } = pop;
  const candidate = chosenCandidate(pop, pickedId);
  const profile = customer.profile;
  const isKnown = candidate !== null || profile !== null;
  const company = candidate?.company ?? profile?.company ?? null;
  return (
    <div className={classes.identity} data-testid="pop-identity" data-match={customer.match}>
      {isKnown ? (
        <Avatar name={name} size={44} />
      ) : (
        <span className={classes.nobody} aria-hidden="true">
          {customer.match === "withheld" ? <PhoneOff /> : customer.match === "many" ? <Users /> : <HelpCircle />}
        </span>
      )}
      <div className={classes.who}>
        <div className={classes.nameLine}>
          <h2 className={classes.name}>{name}</h2>
          <TierChip tier={candidate?.tier ?? profile?.tier ?? null} />
          {company === null ? null : (
            <span className={classes.fact}>
              <Building2 aria-hidden="true" />
              {company}
            </span>
          )}
          <CallerFacts call={call} language={profile?.language ?? call.language} />
        </div>
        <Evidence pop={pop} candidate={candidate} />
        <NumberCheck attestation={call.attestation} />
      </div>
    </div>
  );
}

/** What the carriers say of the number. A failed check is a warning: the number may be somebody else's. */
function NumberCheck({ attestation }: { attestation: ScreenPop["call"]["attestation"] }) {
  const { t } = useTranslation();
  if (!attestation) return null;
  const Icon = { verified: ShieldCheck, failed: ShieldAlert, unknown: Shield }[attestation];
  return (
    <p className={classes.numberCheck} data-testid="pop-attestation" data-attestation={attestation}>
      <Icon aria-hidden="true" />
      <span>{t(`pop.attestation.${attestation}`)}</span>
    </p>
  );
}

function CallerFacts({ call, language }: { call: ScreenPop["call"]; language: string | null }) {
  const { t } = useTranslation();
  const page = useLanguage();
  const now = useNow();
  const zone = call.from === null ? null : zoneOf(call.from);
  return (
    <>
      {language === null ? null : (
        <span className={classes.fact}>
          <Languages aria-hidden="true" />
          {languageName(language, page)}
        </span>
      )}
      {zone === null ? null : (
        <span className={classes.fact}>
          <Clock aria-hidden="true" />
          {t("pop.localTime", { time: timeIn(zone, now, page) })}
        </span>
      )}
    </>
  );
}

/** Nobody has this number: all there is are people whom somebody chose for it before. */
const isOnlySuggested = ({ customer }: ScreenPop) => customer.candidates.every(({ evidence }) => evidence.source === "choice");

function Evidence({ pop, candidate }: { pop: ScreenPop; candidate: Candidate | null }) {
  const { t } = useTranslation();
  const { match, profile } = pop.customer;
  const why = () => {
    // Somebody asked and chose; the number itself says nothing about them.
    if (profile) return t("pop.chosenByHand");
    if (match === "withheld") return t("pop.withheldWhy");
    if (match === "many" && pop.call.attestation === "failed" && pop.customer.candidates.length === 1) return null;
    if (match === "unread") return t("hole.unreadWhy");
    if (match === "many") return t(isOnlySuggested(pop) ? "pop.suggestedWhy" : "pop.manyWhy");
    return t(pop.call.from_kind === "e164" ? "pop.noneWhy" : `pop.fromKind.${pop.call.from_kind}`);
  };
  if (candidate) {
    return (
      <p className={classes.evidence}>
        <span className={classes.label}>{t("pop.matchedBy")}</span>
        <EvidenceLine evidence={candidate.evidence} />
        <ChosenBefore candidate={candidate} />
      </p>
    );
  }
  const reason = why();
  const from = pop.call.from === null ? null : formatPhone(pop.call.from);
  return (
    <p className={classes.evidence}>
      {from === null ? null : <strong className={classes.number}>{from}</strong>}
      {reason === null ? null : <span className={classes.soft}>{reason}</span>}
    </p>
  );
}
