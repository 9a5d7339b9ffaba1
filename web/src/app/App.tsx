import { localStorageColorSchemeManager, MantineProvider } from "@mantine/core";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { useEffect, useState } from "react";

import { onSignedOut } from "@/api/client";
import { createQueries } from "@/app/queries";
import { createAppRouter } from "@/app/router";
import { Toasts } from "@/design/Toasts";
import { cssVariablesResolver, stillTheme, theme } from "@/design/theme";
import { SESSION_KEY } from "@/features/session/session";

const schemes = localStorageColorSchemeManager({ key: "ringdesk.scheme" });

/** End-to-end tests switch motion off, so that a picture is never half faded. Dialogs stay in their portals. */
function isStill(): boolean {
  return new URLSearchParams(location.search).has("test") || localStorage.getItem("ringdesk.test") !== null;
}

export function App() {
  const [queries] = useState(createQueries);
  const [router] = useState(() => createAppRouter(queries));
  const [still] = useState(isStill);
  useEffect(() => {
    document.documentElement.toggleAttribute("data-still", still);
  }, [still]);
  useEffect(
    () =>
      onSignedOut(() => {
        // Nobody was signed in: asking who it is may be refused without anything having ended.
        if (!queries.getQueryData(SESSION_KEY)) return;
        queries.setQueryData(SESSION_KEY, null);
        void router.navigate({ to: "/login", search: { next: router.state.location.href, ended: true } });
      }),
    [queries, router],
  );
  return (
    <MantineProvider
      theme={still ? stillTheme : theme}
      cssVariablesResolver={cssVariablesResolver}
      colorSchemeManager={schemes}
      defaultColorScheme="auto"
    >
      <QueryClientProvider client={queries}>
        <RouterProvider router={router} />
        <Toasts />
      </QueryClientProvider>
    </MantineProvider>
  );
}
