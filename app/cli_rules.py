"""`ringdesk rules …`: read rules, try them out, put them in force, take them from elsewhere."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import App, Parameter

from app.cli import DataDir, database_url, fail, out, run, who

if TYPE_CHECKING:
    from routing.dry_run import Move

MOST_BATCHES: Final = 1000
rules_app = App(name="rules", help="Which call goes where: read, try out, put in force.")


@rules_app.command(name="list")
def list_rules(*, data_dir: DataDir = Path(".data")) -> int:
    """List the versions, newest first; `*` marks the one in force."""
    from app.one_off import one_off
    from routing import queries

    async def main() -> int:
        async with one_off(database_url(data_dir)) as outbox, outbox.database.acquire() as conn:
            rows = await conn.fetch(queries.RULE_SETS, 50)
        for row in rows:
            mark = "*" if row["is_published"] else " "
            out(
                f"{mark}{row['version']:>5}  {row['created_at']:%Y-%m-%d %H:%M}  {row['origin']:<10} {row['created_by']}"
            )
        return 0

    return run(main())


@rules_app.command
def show(
    version: int | None = None,
    *,
    file: Path | None = None,
    language: str = "en",
    data_dir: DataDir = Path(".data"),
) -> int:
    """Say rules in words: of a file, of a version, or those in force. What is odd about them comes last.

    Parameters
    ----------
    version: A version of `ringdesk rules list`; without it those in force.
    file: An organisation file, which is not applied.
    language: en or zh-CN.
    """
    from app.one_off import one_off
    from core.texts import LANGUAGES
    from routing import rule_sets
    from routing.text import condition_text

    if language not in LANGUAGES:
        return fail(f"ringdesk: --language is one of {', '.join(LANGUAGES)}.")

    async def main() -> int:
        async with one_off(database_url(data_dir)) as outbox, outbox.database.acquire() as conn:
            found = await _rules(conn, version, file)
            sentences = await rule_sets.sentences(conn, found)
            findings = [] if file is not None else await rule_sets.check_rules(conn, found)
        for number, (rule, sentence) in enumerate(zip(found, sentences, strict=True), 1):
            out(f"{number:>3}. {rule['name']}\n     {sentence[language]}")
            if "when" in rule:
                out(f"     {condition_text(rule['when'])}")
        for each in findings:
            out(f"look at rule {each.rule!r}: {each.message}")
        return 0

    return run(main())


@rules_app.command(name="dry-run")
def dry_run_rules(
    version: int | None = None, *, file: Path | None = None, last: int = 1000, data_dir: DataDir = Path(".data")
) -> int:
    """Which of the last calls other rules would have sent elsewhere. Changes nothing.

    Parameters
    ----------
    version: A version of `ringdesk rules list`.
    file: An organisation file, which is not applied.
    last: How many calls to look back, at most 10,000.
    """
    from app.one_off import one_off
    from routing.dry_run import MAX_LAST, dry_run

    if (version is None) == (file is None):
        return fail("ringdesk: say which rules: a version of `ringdesk rules list`, or --file org.yaml.")
    if not 1 <= last <= MAX_LAST:
        return fail(f"ringdesk: --last is from 1 to {MAX_LAST}.")

    async def main() -> int:
        async with one_off(database_url(data_dir)) as outbox, outbox.database.acquire() as conn:
            found = await dry_run(conn, await _rules(conn, version, file), last=last)
        since = "" if found.since is None else f" since {found.since:%Y-%m-%d %H:%M} UTC"
        out(f"{found.looked_at} calls{since}: {found.different} would go otherwise, {found.same} as they went")
        if found.without_facts:
            out(f"{found.without_facts} are too old to say")
        _show_moves(found.moves)
        for name in [name for name, calls in found.by_rule.items() if not calls]:
            out(f"rule {name!r} would have taken none of them")
        return 0

    return run(main())


@rules_app.command(name="publish")
def publish_rules(version: int, *, data_dir: DataDir = Path(".data")) -> int:
    """Put a version in force. Calls in line keep the rules they came with."""
    from accounts.audit import audit
    from app.one_off import one_off
    from core.principal import Actor
    from routing import rule_sets

    async def main() -> int:
        async with one_off(database_url(data_dir)) as outbox, outbox.transaction() as tx:
            await rule_sets.publish_rule_set(tx, version)
            actor = Actor("cli", name=who())
            await audit(tx, actor, "ruleset.publish", "ruleset", version, after={"version": version})
        out(f"version {version} is in force")
        return 0

    return run(main())


@rules_app.command(name="roll-back")
def roll_back_rules(version: int, *, data_dir: DataDir = Path(".data")) -> int:
    """Put the rules of an older version in force again, unchanged, as a new version."""
    from accounts.audit import audit
    from app.one_off import one_off
    from core.principal import Actor
    from routing import rule_sets

    async def main() -> int:
        async with one_off(database_url(data_dir)) as outbox, outbox.transaction() as tx:
            copy = await rule_sets.roll_back_rule_set(tx, version, by=who())
            after = {"version": copy, "copy_of": version}
            await audit(tx, Actor("cli", name=who()), "ruleset.roll_back", "ruleset", copy, after=after)
        out(f"version {copy}, with the rules of version {version}, is in force")
        return 0

    return run(main())


@rules_app.command(name="re-evaluate")
def re_evaluate_waiting(version: int, *, preview: bool = False, data_dir: DataDir = Path(".data")) -> int:
    """Decide those who are in line again, by the version in force, from the facts they came with.

    Parameters
    ----------
    version: The version in force; with --preview any of `ringdesk rules list`.
    preview: Only show what would change.
    """
    from accounts.audit import audit
    from app.one_off import one_off
    from core.principal import Actor
    from routing import re_evaluate

    async def show_it() -> int:
        async with one_off(database_url(data_dir)) as outbox, outbox.database.acquire() as conn:
            found = await re_evaluate.preview(conn, version)
        out(
            f"{found.waiting} wait: {found.different} would change, {found.under_offer} of them after their offer; "
            f"{found.same + found.by_these_rules} would not"
        )
        if found.without_facts:
            out(f"{found.without_facts} are too old to say and would stay as they are")
        if found.not_looked_at:
            out(f"{found.not_looked_at} were not looked at")
        _show_moves(found.moves)
        return 0

    async def main() -> int:
        moved = after_offer = same = 0
        async with one_off(database_url(data_dir)) as outbox:
            for _ in range(MOST_BATCHES):
                async with outbox.transaction() as tx:
                    done = await re_evaluate.apply(tx, version)
                    actor = Actor("cli", name=who())
                    await audit(tx, actor, re_evaluate.ACTION, "ruleset", version, after=done.for_audit())
                moved, after_offer, same = (
                    moved + len(done.moved),
                    after_offer + len(done.after_offer),
                    same + done.same,
                )
                if not done.left or not (done.moved or done.after_offer or done.same):
                    break
        out(f"{moved} changed, {after_offer} will after their offer, {same} stay as they were")
        return fail(f"ringdesk: {done.left} are left: run it again.") if done.left else 0

    return run(show_it() if preview else main())


def _show_moves(moves: "Sequence[Move]") -> None:
    for move in moves:
        rules = move.before if move.before == move.after else f"{move.before} -> {move.after}"
        out(f"{move.calls:>7}  {rules}: other {', '.join(move.changed)}")


@rules_app.command(name="check")
def check_rules(file: Path, *, data_dir: DataDir = Path(".data")) -> int:
    """Say what is wrong or odd about the rules of a file. Changes nothing.

    Parameters
    ----------
    file: An organisation file, or one that holds only `rules:`, which is checked against the queues, skills and agents there are.
    """
    from app.one_off import one_off
    from app.org import read_rules_file

    async def main() -> int:
        rules, warnings = read_rules_file(file)
        said = [str(each) for each in warnings or ()]
        if warnings is None:
            async with one_off(database_url(data_dir)) as outbox, outbox.database.acquire() as conn:
                said = await _odd(conn, rules, file)
        for each in said:
            out(f"look at {file}: {each}")
        out(f"{len(rules)} rules, {len(said) or 'nothing'} to look at")
        return 0

    return run(main())


@rules_app.command(name="add")
def add_rules(file: Path, *, data_dir: DataDir = Path(".data")) -> int:
    """Keep the rules of a file as the next version, to be tried out. It is not in force before it is published.

    Parameters
    ----------
    file: An organisation file, of which only the rules are taken, or one that holds only `rules:`.
    """
    from accounts.audit import audit
    from app.one_off import one_off
    from app.org import read_rules_file
    from core.principal import Actor
    from routing import rule_sets

    async def main() -> int:
        rules, _ = read_rules_file(file)
        async with one_off(database_url(data_dir)) as outbox, outbox.transaction() as tx:
            odd = await _odd(tx.conn, rules, file)
            version = await rule_sets.add_rule_set(tx, rules, origin="file", by=who())
            actor = Actor("cli", name=who())
            await audit(tx, actor, "ruleset.add", "ruleset", version, after={"rules": len(rules)})
        for each in odd:
            out(f"look at {file}: {each}")
        out(
            f"version {version} is kept; `ringdesk rules dry-run {version}` tries it, `rules publish {version}` puts it in force"
        )
        return 0

    return run(main())


async def _odd(conn: Any, rules: list[dict[str, Any]], file: Path) -> list[str]:
    """What somebody should look at, by what is in the database. Raises OrgFileInvalid with all that is wrong."""
    from app.org import FileFault, OrgFileInvalid
    from core.errors import Invalid
    from routing import rule_sets

    try:
        return [f"rule {each.rule!r} {each.message}" for each in await rule_sets.check_rules(conn, rules)]
    except Invalid as error:
        wrong: Any = error.fields["errors"]
        faults = [FileFault(0, each["field"], each["message"]) for each in wrong]
        raise OrgFileInvalid(str(file), faults) from None


async def _rules(conn: Any, version: int | None, file: Path | None) -> list[dict[str, Any]]:
    """Those of a file, of a version, or those in force. Raises NotFound, OrgFileInvalid."""
    from app.org import read_org
    from core.errors import NotFound
    from routing import queries

    if file is not None:
        org = read_org(file)
        for warning in org.warnings:
            out(f"look at {file}: {warning}")
        return org.rules
    row = await (
        conn.fetchrow(queries.PUBLISHED_RULES) if version is None else conn.fetchrow(queries.RULE_SET, version)
    )
    if row is None:
        raise NotFound("No rules are in force." if version is None else f"There are no rules of version {version}.")
    rules: list[dict[str, Any]] = row["rules"]
    return rules


@rules_app.command(name="import-taskrouter")
def import_taskrouter(
    file: Path,
    *,
    queue: Sequence[str] = (),
    field: Sequence[str] = (),
    partial: bool = False,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Print the rules that a workflow of TaskRouter amounts to, as a part of an organisation file. Changes nothing.

    What has no counterpart here is told on standard error, with its place; then the exit code is 1.

    Parameters
    ----------
    file: The workflow's configuration, as JSON.
    queue: Which queue one of TaskRouter is here: --queue WQ…=support. Once for each.
    field: Which field an attribute of tasks is here: --field selected_language=call.language. Once for each.
    partial: Exit code 0 though something was left out.
    as_json: Print JSON, with conditions as trees.
    """
    from routing.taskrouter import import_workflow

    queues, fields = _pairs(queue), _pairs(field)
    if queues is None or fields is None:
        return fail("ringdesk: --queue and --field are of the form NAME=OURS.")
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        found = import_workflow(document, queues=queues, fields=fields)
    except OSError as error:
        return fail(f"ringdesk: {file} cannot be read: {(error.strerror or '').lower()}.")
    except RecursionError:
        return fail(f"ringdesk: {file}: is nested too deeply.")
    except ValueError as error:
        return fail(f"ringdesk: {file}: {error}")
    out(json.dumps({"rules": found.rules}, ensure_ascii=False, indent=2) if as_json else _as_yaml(found.rules))
    for each in found.left_out:
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in each.place).lstrip(".")
        print(f"left out: {place}: {each.message}", file=sys.stderr)  # noqa: T201
    if found.skills:
        print(f"skills that have to be there: {', '.join(sorted(found.skills))}", file=sys.stderr)  # noqa: T201
    return 1 if found.left_out and not partial else 0


def _pairs(words: Sequence[str]) -> dict[str, str] | None:
    pairs = [word.partition("=") for word in words]
    return {name: ours for name, _, ours in pairs} if all(name and ours for name, _, ours in pairs) else None


def _as_yaml(rules: Sequence[Mapping[str, Any]]) -> str:
    """As a part of an organisation file, with conditions as text."""
    from io import StringIO

    from ruamel.yaml import YAML

    from routing.text import condition_text

    yaml: Any = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.sort_base_mapping_type_on_output = False
    yaml.allow_unicode = True
    yaml.width = 120
    written = StringIO()
    shown = [rule | {"when": condition_text(rule["when"])} if "when" in rule else rule for rule in map(dict, rules)]
    yaml.dump({"rules": shown}, written)
    return written.getvalue().rstrip()
