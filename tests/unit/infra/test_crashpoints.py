"""A point kills its process once, when a test has armed it, and is nothing otherwise."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from pydantic import ValidationError

from app.settings import Settings
from infra import crashpoints

ROOT: Final = Path(__file__).resolve().parents[3]
PASS_BY: Final = "from infra.crashpoints import crashpoint; crashpoint('a.point'); print('alive')"


def passes_by(folder: Path | None) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != crashpoints.VARIABLE}
    if folder is not None:
        env[crashpoints.VARIABLE] = str(folder)
    return subprocess.run(
        [sys.executable, "-c", PASS_BY], cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=30
    )


def test_an_armed_point_kills_once_and_tells_whom(tmp_path: Path) -> None:
    (tmp_path / "a.point").touch()
    assert passes_by(tmp_path).returncode == -signal.SIGKILL
    assert (tmp_path / "a.point.fired").read_text().isdigit()
    assert passes_by(tmp_path).stdout == "alive\n"


def test_another_point_or_no_folder_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "another.point").touch()
    assert passes_by(tmp_path).stdout == "alive\n"
    assert passes_by(None).stdout == "alive\n"
    assert (tmp_path / "another.point").exists()


def test_a_service_in_use_does_not_start_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(crashpoints, "_FOLDER", str(tmp_path))
    with pytest.raises(ValidationError, match="RINGDESK_CRASHPOINTS is for tests"):
        Settings(public_url="https://desk.example.com")
    assert Settings(public_url="http://127.0.0.1:8080").public_url == "http://127.0.0.1:8080"
