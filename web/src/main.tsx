import "@mantine/core/styles.layer.css";
import "@/design/tokens.css";
import "@/design/base.css";

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "@/app/App";
import { startContrast } from "@/design/contrast";
import { startI18n } from "@/i18n";

const root = document.getElementById("root");
if (!root) throw new Error("no #root");
startContrast();
await startI18n();
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
