"""docker-compose.yml as this test suite reads it: with `.env`'s values put in, the way Docker Compose does it, and nothing else."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

ROOT: Final = Path(__file__).resolve().parent.parent
COMPOSE: Final = ROOT / "docker-compose.yml"
VARIABLE: Final = re.compile(r"\$(?:(\$)|\{(\w+)(?:(:[?-])([^}]*))?\})")


class Missing(Exception):
    """A variable without value and default, with what the file says about it."""


def read(env: Mapping[str, str], path: Path = COMPOSE) -> dict[str, Any]:
    """The document with every `${NAME}`, `${NAME:-default}` and `${NAME:?message}` replaced. Raises Missing."""
    document: dict[str, Any] = _filled(YAML(typ="safe").load(path.read_text()), env)
    return document


def raw(path: Path = COMPOSE) -> dict[str, Any]:
    document: dict[str, Any] = YAML(typ="safe").load(path.read_text())
    return document


def variables(path: Path = COMPOSE) -> dict[str, set[str]]:
    """Name → how it is used: `:?`, `:-` or nothing."""
    found: dict[str, set[str]] = {}
    for escaped, name, kind, _ in VARIABLE.findall(path.read_text()):
        if not escaped:
            found.setdefault(name, set()).add(kind)
    return found


def environment(service: Mapping[str, Any], env: Mapping[str, str]) -> dict[str, str]:
    """What a container of this service gets; a name without value is passed on when it is set."""
    given: Mapping[str, Any] = service.get("environment") or {}
    return {
        name: env[name] if value is None else str(value)
        for name, value in given.items()
        if value is not None or name in env
    }


def _filled(value: Any, env: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return VARIABLE.sub(lambda found: _value(found, env), value)
    if isinstance(value, list):
        return [_filled(each, env) for each in value]
    if isinstance(value, dict):
        return {key: _filled(each, env) for key, each in value.items()}
    return value


def _value(found: "re.Match[str]", env: Mapping[str, str]) -> str:
    if found[1]:
        return "$"
    name, kind, rest = found[2], found[3], found[4]
    if env.get(name):
        return env[name]
    if kind == ":-":
        return str(rest)
    raise Missing(f"{name} {rest or 'is missing'}")
