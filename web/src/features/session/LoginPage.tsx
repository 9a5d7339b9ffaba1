import { Button, PasswordInput, TextInput } from "@mantine/core";
import { type SubmitEvent, type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";

import { asProblem } from "@/api/problem";
import type { Me } from "@/api/types";
import { Callout } from "@/design/Notice";
import { useProblemText } from "@/design/useProblemText";

import classes from "./LoginPage.module.css";
import { useLogIn } from "./session";

interface Props {
  logo: ReactNode;
  settings: ReactNode;
  /** Said above the form, for example that the session has ended. */
  notice?: string;
  onDone: (me: Me) => void;
}

export function LoginPage({ logo, settings, notice, onDone }: Props) {
  const { t } = useTranslation();
  const problemText = useProblemText();
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const logIn = useLogIn();
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    logIn.mutate({ email: email.trim(), password }, { onSuccess: onDone });
  };
  return (
    <div className={classes.page}>
      <section className={classes.top} aria-label={t("settings.title")}>
        {settings}
      </section>
      <main className={classes.card}>
        {logo}
        <div>
          <h1 className={classes.title}>{t("login.title")}</h1>
          <p className={classes.lead}>{t("login.lead")}</p>
        </div>
        {notice ? <Callout tone="blue">{notice}</Callout> : null}
        <form className={classes.form} onSubmit={submit}>
          <TextInput
            label={t("login.email")}
            type="email"
            autoComplete="username"
            required
            withAsterisk={false}
            size="md"
            value={email}
            onChange={(event) => setEmail(event.currentTarget.value)}
            data-testid="login-email"
          />
          <PasswordInput
            label={t("login.password")}
            autoComplete="current-password"
            required
            withAsterisk={false}
            size="md"
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
            visibilityToggleButtonProps={{ "aria-label": t("login.showPassword") }}
            data-testid="login-password"
          />
          {logIn.error ? (
            <div role="alert">
              <Callout tone="red">{problemText(asProblem(logIn.error))}</Callout>
            </div>
          ) : null}
          <Button type="submit" size="md" fullWidth loading={logIn.isPending} data-testid="login-submit">
            {t("login.submit")}
          </Button>
        </form>
      </main>
    </div>
  );
}
