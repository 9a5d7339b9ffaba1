"""The pages people start from are true: same commands in both languages, commands that exist, generated pages up to date."""

import re
import subprocess
import sys
from pathlib import Path

from app import reference
from app.cli import app as ringdesk

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
