import classes from "./Shell.module.css";

export function Logo({ withName = false }: { withName?: boolean }) {
  return (
    <span className={classes.logo}>
      <img src="/assets/icon.svg" width={withName ? 32 : 30} height={withName ? 32 : 30} alt={withName ? "" : "Ringdesk"} />
      {withName ? <span className={classes.logoName}>Ringdesk</span> : null}
    </span>
  );
}
