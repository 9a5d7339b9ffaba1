/** The numbers of the demo organisation (demo/org.yaml and demo/customers.csv). */
export const LINES = [
  { number: "+14155550199", key: "support" },
  { number: "+4930901820", key: "de" },
  { number: "+862155550123", key: "sales" },
  { number: "+14155550200", key: "menu" },
] as const;

export const CALLERS = [
  { key: "known", number: "+14155550123" },
  { key: "german", number: "+493023125693" },
  { key: "chinese", number: "+8613800138000" },
  { key: "shared", number: "+4930555100" },
  { key: "unknown", number: "+12125550187" },
  { key: "withheld", number: "anonymous" },
] as const;
