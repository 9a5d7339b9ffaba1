import { Button, TextInput } from "@mantine/core";
import { type SubmitEvent, useState } from "react";
import { useTranslation } from "react-i18next";

import { press, speak } from "./demoApi";
import classes from "./DemoPhone.module.css";

const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];

/** What the caller presses and says: for menus, and for the recorder. */
export function Keypad({ sid }: { sid: string }) {
  const { t } = useTranslation();
  const [text, setText] = useState("");
  const say = (event: SubmitEvent) => {
    event.preventDefault();
    if (text.trim() !== "") void speak(sid, text.trim()).then(() => setText(""));
  };
  return (
    <>
      <div className={classes.keypad} role="group" aria-label={t("demo.keys")}>
        {KEYS.map((key) => (
          <Button key={key} variant="default" size="compact-md" onClick={() => void press(sid, key)} data-testid={`demo-key-${key}`}>
            {key}
          </Button>
        ))}
      </div>
      <form className={classes.say} onSubmit={say}>
        <TextInput
          aria-label={t("demo.say")}
          placeholder={t("demo.say")}
          value={text}
          maxLength={1000}
          onChange={(event) => setText(event.currentTarget.value)}
          data-testid="demo-say"
        />
        <Button type="submit" variant="default" disabled={text.trim() === ""}>
          {t("demo.speak")}
        </Button>
      </form>
    </>
  );
}
