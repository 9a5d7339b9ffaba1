/** Without news for longer than this a number is grey. */
export const STALE_S = 5;
