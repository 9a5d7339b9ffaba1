import { MantineProvider } from "@mantine/core";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import {
  createMemoryHistory,
  createRootRoute,
  createRoute,
  createRouter,
  RouterProvider,
} from "@tanstack/react-router";
import { render, screen } from "@testing-library/react";
import axe from "axe-core";
import type { ReactNode } from "react";
import { expect } from "vitest";

import type { Desk } from "@/api/types";
import { cssVariablesResolver, theme } from "@/design/theme";
import { DESK_KEY } from "@/live/desk";
import { LiveProvider } from "@/live/LiveProvider";
import { PhoneProvider } from "@/phone/PhoneProvider";

/** Draws a part of the page inside everything it may use, with this desk in the cache. */
export async function draw(children: ReactNode, desk?: Desk) {
  const queries = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  if (desk) queries.setQueryData(DESK_KEY, desk);
  const root = createRootRoute();
  const index = createRoute({
    getParentRoute: () => root,
    path: "/",
    component: () => (
      <LiveProvider>
        <PhoneProvider agentId={1}>
          <main>{children}</main>
        </PhoneProvider>
      </LiveProvider>
    ),
  });
  const router = createRouter({
    routeTree: root.addChildren([index]),
    history: createMemoryHistory({ initialEntries: ["/"] }),
  });
  const page = render(
    <MantineProvider theme={theme} cssVariablesResolver={cssVariablesResolver} env="test">
      <QueryClientProvider client={queries}>
        {/* The test's own small router stands in for the application's. */}
        <RouterProvider router={router as never} />
      </QueryClientProvider>
    </MantineProvider>,
  );
  await screen.findByRole("main");
  return { ...page, queries };
}

/** No rule of WCAG that can be checked without colours and layout is broken. */
export async function expectAccessible(element: Element): Promise<void> {
  const { violations } = await axe.run(element, {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    rules: { "color-contrast": { enabled: false } },
  });
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join("; ")}`)).toEqual([]);
}
