import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from "@tanstack/react-router";

import { DeskPage } from "@/app/DeskPage";
import { NotFound, RouteError } from "@/app/RouteError";
import { Shell } from "@/app/shell/Shell";
import { homeOf } from "@/app/shell/navigation";
import { type CallsSearch, parseCallsSearch } from "@/features/calls/search";
import { sessionOf } from "@/features/session/session";
import { type FiguresSearch, parseFiguresSearch } from "@/features/figures/search";
import { type NumbersSearch, parseNumbersSearch } from "@/features/numbers/search";
import type { TicketSearch } from "@/features/tickets/search";
import { parseTicketSearch } from "@/features/tickets/search";
import { parseWallSearch, type WallSearch } from "@/features/wall/search";
import { adoptLanguage } from "@/i18n";

interface Context {
  queries: QueryClient;
}

const rootRoute = createRootRouteWithContext<Context>()({
  component: Outlet,
  errorComponent: RouteError,
  notFoundComponent: NotFound,
});

interface LoginSearch {
  next?: string;
  ended?: boolean;
}

const loginRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: "/login",
  validateSearch: (search: Record<string, unknown>): LoginSearch => ({
    // Only a path of this site: never an address that leads elsewhere.
    next: typeof search.next === "string" && /^\/(?![/\\])/.test(search.next) ? search.next : undefined,
    ended: search.ended === true ? true : undefined,
  }),
  component: lazyRouteComponent(() => import("@/app/LoginRoute"), "LoginRoute"),
});

const signedIn = createRoute({
  getParentRoute: () => rootRoute,
  id: "signed-in",
  beforeLoad: async ({ context, location }) => {
    const me = await sessionOf(context.queries);
    if (!me) {
      const next = location.href === "/" ? undefined : location.href;
      throw redirect({ to: "/login", search: { next } });
    }
    await adoptLanguage(me.language);
    return { me };
  },
  component: Shell,
  errorComponent: RouteError,
});

const home = createRoute({
  getParentRoute: () => signedIn,
  path: "/",
  beforeLoad: ({ context }) => {
    throw redirect({ to: homeOf(context.me.role) });
  },
});

const desk = createRoute({ getParentRoute: () => signedIn, path: "/desk", component: DeskPage });

const tickets = createRoute({
  getParentRoute: () => signedIn,
  path: "/tickets",
  validateSearch: (search: Record<string, unknown>): TicketSearch => parseTicketSearch(search),
  component: lazyRouteComponent(() => import("@/app/TicketRoutes"), "TicketsRoute"),
});

const ticket = createRoute({
  getParentRoute: () => signedIn,
  path: "/tickets/$ticketId",
  component: lazyRouteComponent(() => import("@/app/TicketRoutes"), "TicketRoute"),
});

interface Query {
  q?: string;
}
const withQuery = (search: Record<string, unknown>): Query => ({
  q: typeof search.q === "string" || typeof search.q === "number" ? String(search.q) : undefined,
});

const customers = createRoute({
  getParentRoute: () => signedIn,
  path: "/customers",
  validateSearch: withQuery,
  component: lazyRouteComponent(() => import("@/app/CustomerRoutes"), "CustomersRoute"),
});

const customer = createRoute({
  getParentRoute: () => signedIn,
  path: "/customers/$customerId",
  component: lazyRouteComponent(() => import("@/app/CustomerRoutes"), "CustomerRoute"),
});

const calls = createRoute({
  getParentRoute: () => signedIn,
  path: "/calls",
  validateSearch: (search: Record<string, unknown>): CallsSearch => parseCallsSearch(search),
  component: lazyRouteComponent(() => import("@/app/CallRoutes"), "CallsRoute"),
});

const numbers = createRoute({
  getParentRoute: () => signedIn,
  path: "/numbers",
  validateSearch: (search: Record<string, unknown>): NumbersSearch => parseNumbersSearch(search),
  component: lazyRouteComponent(() => import("@/app/NumbersRoute"), "NumbersRoute"),
});

const supervisor = createRoute({
  getParentRoute: () => signedIn,
  path: "/supervisor",
  component: lazyRouteComponent(() => import("@/app/SupervisorPage"), "SupervisorPage"),
});

const figures = createRoute({
  getParentRoute: () => signedIn,
  path: "/figures",
  validateSearch: (search: Record<string, unknown>): FiguresSearch => parseFiguresSearch(search),
  component: lazyRouteComponent(() => import("@/app/FiguresRoute"), "FiguresRoute"),
});

const wall = createRoute({
  getParentRoute: () => rootRoute,
  path: "/wall",
  validateSearch: (search: Record<string, unknown>): WallSearch => parseWallSearch(search),
  component: lazyRouteComponent(() => import("@/app/WallRoute"), "WallRoute"),
});

const console = createRoute({
  getParentRoute: () => rootRoute,
  path: "/demo/console",
  component: lazyRouteComponent(() => import("@/app/ConsolePage"), "ConsolePage"),
});

/** The design system, for whoever builds a page; it asks the service for nothing. */
const design = createRoute({
  getParentRoute: () => rootRoute,
  path: "/design",
  component: lazyRouteComponent(() => import("@/app/DesignRoute"), "DesignRoute"),
});

const demo = createRoute({
  getParentRoute: () => rootRoute,
  path: "/demo",
  component: lazyRouteComponent(() => import("@/app/DemoPage"), "DemoPage"),
});

export function createAppRouter(queries: QueryClient) {
  return createRouter({
    routeTree: rootRoute.addChildren([
      loginRoute,
      demo,
      console,
      wall,
      design,
      signedIn.addChildren([home, desk, tickets, ticket, customers, customer, calls, numbers, supervisor, figures]),
    ]),
    context: { queries },
    defaultPreload: "intent",
    scrollRestoration: true,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof createAppRouter>;
  }
}
