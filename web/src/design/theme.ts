import {
  createTheme,
  type CSSVariablesResolver,
  type MantineColorsTuple,
  type MantineThemeOverride,
  mergeThemeOverrides,
} from "@mantine/core";

/** Mantine takes its colours from tokens.css; the tuples only serve its own shade arithmetic. */
const accent: MantineColorsTuple = [
  "#edf1fd", "#d6dffa", "#adbef4", "#829cee", "#5f7fe8", "#456ae2", "#3d63e0", "#2f55d4", "#2747b4", "#1e3991",
];
/** Mantine's own greys are neutral; ours lean to blue, so its parts fit in. */
const dark: MantineColorsTuple = [
  "#eceff4", "#c6ccd6", "#98a1b0", "#6b7484", "#3b4350", "#272d37", "#1e242d", "#161a21", "#12161c", "#0e1116",
];
const gray: MantineColorsTuple = [
  "#f8f9fb", "#f0f2f5", "#e2e5ea", "#d5dae1", "#c6ccd6", "#858d9b", "#5c6573", "#4c5563", "#3d4552", "#14181f",
];

const options: MantineThemeOverride = {
  primaryColor: "accent",
  primaryShade: { light: 7, dark: 6 },
  colors: { accent, dark, gray },
  fontFamily: "var(--font)",
  fontSizes: { xs: "12px", sm: "13px", md: "14px", lg: "16px", xl: "20px" },
  defaultRadius: "6px",
  cursorType: "pointer",
  respectReducedMotion: true,
  focusRing: "auto",
  // By name and not by component, so that a page that shows no dialog does not load one.
  components: {
    Modal: { defaultProps: { centered: true, radius: "12px", overlayProps: { backgroundOpacity: 0.4 } } },
    Drawer: { defaultProps: { position: "right", overlayProps: { backgroundOpacity: 0.3 } } },
    Menu: { defaultProps: { radius: "8px", withInitialFocusPlaceholder: false } },
    Popover: { defaultProps: { radius: "8px" } },
  },
};

export const theme = createTheme(options);

const still = { defaultProps: { transitionProps: { duration: 0 } } };

/** Nothing fades or slides: for pictures taken by end-to-end tests. */
export const stillTheme = mergeThemeOverrides(theme, {
  components: { Modal: still, Drawer: still, Menu: still, Popover: still, Tooltip: still, Combobox: still, Select: still },
});

const shared = {
  "--mantine-color-body": "var(--surface)",
  "--mantine-color-text": "var(--ink)",
  "--mantine-color-dimmed": "var(--ink-muted)",
  "--mantine-color-default": "var(--surface)",
  "--mantine-color-default-hover": "var(--surface-hover)",
  "--mantine-color-default-color": "var(--ink)",
  "--mantine-color-default-border": "var(--line-strong)",
  "--mantine-color-placeholder": "var(--ink-muted)",
  "--mantine-color-error": "var(--tone-red-fg)",
  "--mantine-color-anchor": "var(--accent-ink)",
  "--mantine-color-accent-filled": "var(--accent)",
  "--mantine-color-accent-filled-hover": "var(--accent-hover)",
  "--mantine-color-accent-light": "var(--accent-wash)",
  "--mantine-color-accent-light-hover": "var(--accent-wash)",
  "--mantine-color-accent-light-color": "var(--accent-ink)",
  "--mantine-color-accent-outline": "var(--accent-ink)",
  "--mantine-color-disabled": "var(--surface-hover)",
  "--mantine-color-disabled-color": "var(--ink-muted)",
  "--mantine-color-disabled-border": "var(--line)",
};

export const cssVariablesResolver: CSSVariablesResolver = () => ({ variables: {}, light: shared, dark: shared });
