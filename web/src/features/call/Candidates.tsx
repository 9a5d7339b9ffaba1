import { UnstyledButton } from "@mantine/core";
import { Check, History } from "lucide-react";
import { useTranslation } from "react-i18next";

import type { Candidate } from "@/api/types";
import { dateTime } from "@/format/time";
import { useLanguage } from "@/i18n";
import { Keycaps } from "@/keys/Keycaps";
import type { CommandId } from "@/keys/shortcuts";
import { EvidenceLine, TierChip } from "@/parts/CustomerParts";

import classes from "./Pop.module.css";

interface Props {
  candidates: Candidate[];
  pickedId: number | null;
  onPick: (candidate: Candidate) => void;
  hasKeys: boolean;
  isBusy?: boolean;
}

/** Somebody said so with an earlier call. A suggestion: nobody is picked by it. */
export function ChosenBefore({ candidate: { chosen } }: { candidate: Candidate }) {
  const { t } = useTranslation();
  const language = useLanguage();
  if (!chosen) return null;
  const when = dateTime(chosen.at, language);
  return (
    <span className={classes.chosenBefore}>
      <History size={12} aria-hidden="true" />
      {chosen.by === null ? t("somebody.chosen", { when }) : t("somebody.chosenBy", { name: chosen.by, when })}
    </span>
  );
}

/** Several people share this number: up to five, each with its evidence. Nobody is picked for the agent. */
export function Candidates({ candidates, pickedId, onPick, hasKeys, isBusy = false }: Props) {
  const { t } = useTranslation();
  return (
    <ul className={classes.candidates} aria-label={t("pop.whoIsIt")}>
      {candidates.slice(0, 5).map((candidate, index) => (
        <li key={candidate.id}>
          <UnstyledButton
            className={classes.candidate}
            aria-pressed={candidate.id === pickedId}
            disabled={isBusy}
            onClick={() => onPick(candidate)}
            data-testid={`candidate-${index + 1}`}
          >
            {hasKeys ? <Keycaps of={`choice${index + 1}` as CommandId} /> : null}
            <span className={classes.candidateText}>
              <span className={classes.candidateName}>
                {candidate.name}
                <TierChip tier={candidate.tier} />
                {candidate.company ? <span className={classes.soft}>{candidate.company}</span> : null}
              </span>
              <EvidenceLine evidence={candidate.evidence} />
              <ChosenBefore candidate={candidate} />
            </span>
            {candidate.id === pickedId ? <Check aria-hidden="true" className={classes.picked} /> : null}
          </UnstyledButton>
        </li>
      ))}
    </ul>
  );
}
