import { BookUser, ChartNoAxesColumn, Headset, type LucideIcon, MonitorDot, PhoneCall, Tickets } from "lucide-react";

import type { Role } from "@/api/types";

interface Place {
  to: "/desk" | "/tickets" | "/customers" | "/calls" | "/supervisor" | "/figures";
  key: "desk" | "tickets" | "customers" | "calls" | "supervisor" | "figures";
  icon: LucideIcon;
  roles: readonly Role[];
}

const EVERYBODY: readonly Role[] = ["agent", "supervisor", "admin", "auditor", "integration"];

export const PLACES: readonly Place[] = [
  { to: "/desk", key: "desk", icon: Headset, roles: ["agent", "supervisor", "admin"] },
  { to: "/tickets", key: "tickets", icon: Tickets, roles: EVERYBODY },
  { to: "/customers", key: "customers", icon: BookUser, roles: EVERYBODY },
  { to: "/calls", key: "calls", icon: PhoneCall, roles: EVERYBODY },
  { to: "/supervisor", key: "supervisor", icon: MonitorDot, roles: ["supervisor", "admin"] },
  { to: "/figures", key: "figures", icon: ChartNoAxesColumn, roles: ["supervisor", "admin"] },
];

export function homeOf(role: Role): Place["to"] {
  if (role === "agent") return "/desk";
  return role === "supervisor" || role === "admin" ? "/supervisor" : "/tickets";
}

export function hasDesk(role: Role): boolean {
  return role === "agent" || role === "supervisor" || role === "admin";
}
