"""The pages people start from are true: same commands in both languages, commands that exist, generated pages up to date."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from app import reference
from app.cli import app as ringdesk
from app.settings import Settings
from app.web import OPERATIONS
from cti.http import webhooks as webhook_routes

ROOT = Path(__file__).resolve().parent.parent
READMES = ("README.md", "README.zh-CN.md")


def blocks(name: str) -> list[str]:
    """The fenced blocks that hold one command."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return [found.strip() for found in re.findall(r"```\n(.*?)```", text, re.S) if found.startswith("python3 ")]


def mentioned(name: str) -> set[str]:
    """Every `ringdesk …` and `python3 dev.py …` command in the text."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return set(re.findall(r"`((?:ringdesk|python3 dev\.py) [^`]+)`", text)) | set(blocks(name))


def test_both_readmes_name_the_same_two_commands() -> None:
    english, chinese = map(blocks, READMES)
    assert english == chinese == ["python3 dev.py run", "python3 dev.py test"]
    assert mentioned(READMES[0]) == mentioned(READMES[1])


def test_every_command_of_the_readmes_exists() -> None:
    known = set(ringdesk)
    for command in mentioned(READMES[0]):
        words = command.split()
        if words[0] == "ringdesk":
            assert words[1] in known or words[1].startswith("--"), command
        else:
            assert words[2] in ("run", "test", "check", "bench"), command
    done = subprocess.run([sys.executable, "dev.py", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    for name in ("run", "test", "check", "bench"):
        assert name in done.stdout


def test_readmes_are_short_and_their_links_lead_somewhere() -> None:
    for name in READMES:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 120
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (ROOT / target).exists(), f"{name} links to {target}"


def test_documents_name_no_path_of_a_machine() -> None:
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        found = re.findall(r"(?<![\w./-])/(?:home|root|work|opt)/\w+", path.read_text(encoding="utf-8"))
        assert not found, f"{path.name}: {found}"


def test_generated_pages_are_up_to_date() -> None:
    assert reference.outdated(ROOT) == [], "run `ringdesk schema`"


# --- every page -------------------------------------------------------------------------------------------------------

PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/howto/*.md"), *ROOT.glob("docs/reference/*.md")]
)
FOLDERS = "accounts|app|core|cti|customers|demo|deploy|docs|infra|migrations|realtime|reporting|routing|simulator|tests|ticketing|web"
OF_TESTS = {"RINGDESK_TEST_FULL", "RINGDESK_TEST_DATABASE_URL", "RINGDESK_TEST_REDIS_URL", "RINGDESK_TEST_RABBITMQ_URL"}
OF_TESTS |= {"RINGDESK_REQUIRE_SERVERS", "RINGDESK_WRITE_GOLDEN", "RINGDESK_WRITE_FAULTS"}
OF_COMPOSE = set(re.findall(r"\$\{(RINGDESK_\w+)", (ROOT / "docker-compose.yml").read_text(encoding="utf-8")))
OF_THE_OPERATOR = "deploy/tls/"
"""Certificates: put there by who runs it, never committed."""


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def code_of(page: Path) -> list[str]:
    """What is written as code: the words in backticks, and the lines of fenced blocks."""
    text = text_of(page)
    fenced = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.S | re.M)
    return re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.S | re.M)) + [
        line.strip() for block in fenced for line in block.splitlines()
    ]


def ids(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_command_of_a_page_exists_with_its_flags(page: Path) -> None:
    for code in code_of(page):
        words = code.removeprefix("RINGDESK_WRITE_GOLDEN=1 ").removeprefix(".venv/bin/").split()
        if words[:2] == ["python3", "dev.py"] and len(words) > 2:
            assert words[2] in ("run", "test", "check", "bench"), code
        if words[:1] != ["ringdesk"] or len(words) < 2 or not words[1][0].islower() or words[1] == "ready":
            continue
        command = ringdesk[words[1]] if words[1] in set(ringdesk) else None
        assert command is not None, code
        rest = words[2:]
        if words[1] in ("user", "deliveries", "rules", "figures", "block", "do-not-call") and rest:
            assert rest[0] in set(command), code
            command, rest = command[rest[0]], rest[1:]
        known = {name for argument in command.assemble_argument_collection() for name in argument.names}
        for flag in (word.strip("[]") for word in rest if word.startswith(("--", "[--"))):
            assert flag in known or flag.replace("--no-", "--") in known, code


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_path_of_a_page_exists(page: Path) -> None:
    for code in code_of(page):
        for path in re.findall(rf"(?<![\w./-])((?:{FOLDERS})/[\w./*-]+)", code):
            if "*" in path or "://" in code:
                continue
            file, _, name = path.rpartition(".")  # `cti/http.webhooks` is a name in cti/http.py
            exists = (ROOT / path).exists() or (ROOT / f"{path}.py").exists()
            is_name = (ROOT / f"{file}.py").exists() and name in (ROOT / f"{file}.py").read_text(encoding="utf-8")
            is_built = path.startswith(("web/node_modules", "web/dist", OF_THE_OPERATOR))
            assert exists or is_name or is_built, f"{path} in {code!r}"


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), target
        if anchor:
            heads = {
                re.sub(r"[^\w -]", "", head).strip().lower().replace(" ", "-")
                for head in re.findall(r"^#+ (.+)$", text_of(found), re.M)
            }
            assert anchor in heads, target


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_setting_and_address_of_a_page_exists(page: Path) -> None:
    text = text_of(page)
    for name in set(re.findall(r"RINGDESK_[A-Z_]+[A-Z]", text)):
        is_ours = name.startswith("RINGDESK_CTI")  # named by the organisation file
        assert (
            is_ours or name in OF_TESTS | OF_COMPOSE or name.removeprefix("RINGDESK_").lower() in Settings.model_fields
        ), name
    operations = {(operation.method, operation.path) for operation in OPERATIONS}
    example = {("POST", "/api/v1/tickets/{id}/merge")}
    for method, path in re.findall(r"\b(GET|POST|PUT|PATCH|DELETE) (/api/v1/[\w/{}-]+)", text):
        assert (method, path) in operations | example, path
    webhooks = {f"/twilio{route.resource.canonical}" for route in webhook_routes().router.routes() if route.resource}
    for path in set(re.findall(r"`(/twilio/[\w/]+)`", text)):
        assert path in webhooks, path


def test_howtos_are_all_in_the_quickstart() -> None:
    quickstart = text_of(ROOT / "docs" / "quickstart.md")
    for page in (ROOT / "docs" / "howto").glob("*.md"):
        assert f"howto/{page.name}" in quickstart, page.name
