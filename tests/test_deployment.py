"""The files of the deployment agree with each other and with the code: images, settings, secrets, health, proxy, pipelines."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML

from app.settings import Settings
from deploy import make_env
from simulator.__main__ import _as_played
from tests import deployment
from tests.deployment import COMPOSE, ROOT, Missing

ENV: Final = {
    "POSTGRES_PASSWORD": "pg-secret",
    "VALKEY_PASSWORD": "vk-secret",
    "RABBITMQ_PASSWORD": "mq-secret",
    "RINGDESK_PUBLIC_URL": "https://desk.example.com",
    "RINGDESK_TWILIO_ACCOUNTS": json.dumps([{"sid": "AC" + "0" * 32, "auth_tokens": ["x" * 32]}]),
}
NGINX: Final = ROOT / "deploy/nginx"


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = deployment.read(ENV)["services"]
    return found


def is_one_shot(service: dict[str, Any]) -> bool:
    return bool(service.get("restart") == "no")


# --- compose -------------------------------------------------------------------------------------------------------


def test_the_parts_are_there_and_doubled_where_that_counts() -> None:
    document = deployment.read(ENV)
    assert document["name"] == "ringdesk"
    assert set(document["services"]) == {
        "postgres", "valkey", "rabbitmq", "migrate", "web", "worker", "proxy", "demo-data", "simulator",
    }  # fmt: skip
    assert [document["services"][name]["deploy"]["replicas"] for name in ("web", "worker")] == [2, 2]
    assert {name for name, service in document["services"].items() if "profiles" in service} == {
        "demo-data",
        "simulator",
    }


@pytest.mark.parametrize("name", sorted(ENV))
def test_without_a_secret_nothing_starts_and_the_message_says_which(name: str) -> None:
    with pytest.raises(Missing, match=rf"^{name} is missing; "):
        deployment.read({key: value for key, value in ENV.items() if key != name})


def test_no_secret_has_a_default_or_stands_in_a_file() -> None:
    kinds = deployment.variables()
    for name in ENV:
        assert kinds[name] == {":?"}, name
    for path in (COMPOSE, ROOT / "Dockerfile", *(ROOT / "deploy").rglob("*.*")):
        if path.suffix not in (".pyc", ".lock"):
            assert not re.search(r"(?i)(password|secret|token)\"?\s*[:=]\s*\"?[A-Za-z0-9+/]{8,}", path.read_text()), (
                path
            )


def test_every_setting_named_exists_and_the_settings_accept_what_they_get(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("RINGDESK_"):
            monkeypatch.delenv(name)
    for name, service in services().items():
        given = {k: v for k, v in deployment.environment(service, ENV).items() if k.startswith("RINGDESK_")}
        unknown = {key.removeprefix("RINGDESK_").lower() for key in given} - set(Settings.model_fields)
        assert not unknown, f"{name}: {unknown}"
        with monkeypatch.context() as patch:
            for key, value in given.items():
                patch.setenv(key, value)
            Settings()


def test_every_service_says_whether_it_is_well_ends_with_grace_and_is_bounded() -> None:
    image_has_one = "HEALTHCHECK" in (ROOT / "Dockerfile").read_text()
    for name, service in services().items():
        check = service["healthcheck"]
        if is_one_shot(service):
            assert check == {"disable": True}, name
        else:
            assert check.get("test") or (image_has_one and name in ("web", "worker")), name
            assert service["restart"] == "unless-stopped", name
        assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}, name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name


def test_services_wait_for_what_they_need() -> None:
    found = services()
    for name, service in found.items():
        for needed, how in (service.get("depends_on") or {}).items():
            wanted = "service_completed_successfully" if is_one_shot(found[needed]) else "service_healthy"
            assert how == {"condition": wanted}, f"{name} → {needed}"
    for name in ("web", "worker"):
        assert set(found[name]["depends_on"]) == {"migrate", "postgres", "valkey", "rabbitmq"}


def test_only_the_proxy_is_published_and_the_demo_on_this_machine_only() -> None:
    found = services()
    published = {name: service["ports"] for name, service in found.items() if "ports" in service}
    assert published == {"proxy": ["127.0.0.1:8080:8080"], "simulator": ["127.0.0.1:8081:8081"]}
    document = deployment.read(ENV)
    assert document["networks"]["data"] == {"internal": True}
    for name in ("postgres", "valkey", "rabbitmq", "migrate"):
        assert found[name]["networks"] == ["data"], name
    # web trusts the proxy by its address, so that is the proxy's only network.
    assert found["proxy"]["networks"] == ["edge"]
    assert (
        document["networks"]["edge"]["ipam"]["config"][0]["subnet"]
        == (found["web"]["environment"]["RINGDESK_TRUSTED_PROXIES"])
    )


def test_our_containers_run_without_rights() -> None:
    for name in ("migrate", "web", "worker", "demo-data", "simulator", "proxy", "valkey"):
        service = services()[name]
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name


def test_servers_are_of_the_versions_we_speak_to() -> None:
    found = services()
    assert int(re.findall(r"postgres:(\d+)", found["postgres"]["image"])[0]) >= 17
    assert re.match(r"rabbitmq:4\b", found["rabbitmq"]["image"])
    assert found["valkey"]["image"].startswith("valkey/valkey:")
    for service in found.values():
        assert "/" not in service["image"] or service["image"].count("/") == 1, "names no registry"


def test_files_that_containers_get_exist() -> None:
    document = deployment.read(ENV)
    for service in document["services"].values():
        for volume in service.get("volumes") or ():
            source = str(volume).split(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in document["volumes"], volume
        for config in service.get("configs") or ():
            found = document["configs"][config["source"]]
            assert "content" in found or (ROOT / found["file"]).exists()


def test_the_broker_s_definitions_confine_our_user_to_our_host() -> None:
    document = deployment.read(ENV)
    found = json.loads(document["configs"]["rabbitmq_definitions"]["content"])
    url = document["services"]["web"]["environment"]["RINGDESK_RABBITMQ_URL"]
    (user,) = found["users"]
    assert url == f"amqp://{user['name']}:{user['password']}@rabbitmq:5672/{found['vhosts'][0]['name']}"
    assert user["tags"] == []
    assert [each["vhost"] for each in found["permissions"] + found["policies"]] == ["ringdesk"] * 2


# --- the image -----------------------------------------------------------------------------------------------------


def dockerfile() -> list[tuple[str, str]]:
    """Instruction and rest, continuation lines joined."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.strip().partition(" ") for line in lines)]


def copied() -> list[str]:
    sources = []
    for word, rest in dockerfile():
        if word == "COPY" and "--from" not in rest:
            sources += rest.split()[:-1]
    return sources


def test_what_is_copied_exists_and_reaches_the_builder() -> None:
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for source in copied():
        assert (ROOT / source).exists(), source
    assert let_through == set(copied())


def test_the_image_holds_every_package_of_ours() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
        "packages"
    ]
    assert set(packages) < set(copied())


def test_the_image_is_staged_pinned_and_unprivileged() -> None:
    found = dockerfile()
    assert [rest for word, rest in found if word == "FROM"] == [
        "node:24-slim AS page",
        "python:3.13-slim AS build",
        "python:3.13-slim",
    ]
    final = found[max(i for i, (word, _) in enumerate(found) if word == "FROM") :]
    assert ("USER", "10001") in final
    assert final[-1] == ("CMD", '["ringdesk", "web"]')  # exec form: signals reach it
    assert any(word == "HEALTHCHECK" for word, _ in final)
    for word, rest in found:
        for install in re.findall(r"pip install ([^&]*)", rest) if word == "RUN" else ():
            assert "--require-hashes" in install or "--no-deps" in install, install


def test_the_wheel_is_built_by_locked_packages() -> None:
    def pins(name: str) -> set[str]:
        lines = (ROOT / name).read_text().splitlines()
        return {line.strip().removesuffix("\\").strip() for line in lines if not line.lstrip().startswith("#")}

    assert pins("deploy/build.lock") <= pins("requirements-dev.lock")


# --- the proxy -----------------------------------------------------------------------------------------------------


def directives(text: str) -> list[str]:
    """A strict reading: every brace closed, every directive ended. Returns the directives with their block's head before them."""
    words = re.findall(r"\"[^\"]*\"|'[^']*'|[{};]|(?:\$\{\w+\}|[^\s{};\"'])+", re.sub(r"(?m)(^|\s)#.*$", "", text))
    found: list[str] = []
    open_: list[str] = []
    at: list[str] = []
    for word in words:
        if word == "{":
            open_.append(" ".join(at))
            at = []
        elif word == "}":
            assert not at, f"not ended: {at}"
            open_.pop()
        elif word == ";":
            assert at, "empty directive"
            found.append(" > ".join([*open_, " ".join(at)]))
            at = []
        else:
            at.append(word)
    assert not open_, f"not closed: {open_}"
    assert not at, f"not ended: {at}"
    return found


def test_the_proxy_upgrades_sockets_and_says_who_calls() -> None:
    found = directives((NGINX / "locations.conf").read_text())
    assert "proxy_set_header Upgrade $http_upgrade" in found
    assert "proxy_set_header Connection $connection_upgrade" in found
    assert "proxy_set_header X-Forwarded-For $remote_addr" in found  # replaced, not appended: web trusts one hop
    assert "location /socket.io/ > proxy_pass $replicas" in found
    assert "set $replicas http://web:8080" in found
    for server in ("server-http.conf", "server-tls.conf"):
        assert "server > include locations.conf" in directives((NGINX / server).read_text())
    assert "http > include server.conf" in directives((NGINX / "nginx.conf").read_text())


def test_unclosed_block_is_noticed() -> None:
    with pytest.raises(AssertionError):
        directives("server { listen 1;")
    with pytest.raises(AssertionError):
        directives("server { listen 1 }")


# --- .env ----------------------------------------------------------------------------------------------------------


def read_env(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {name: value.strip("'") for name, _, value in (line.partition("=") for line in lines)}


def test_env_of_the_demo_is_complete_fresh_and_closed(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for file in (one, two):
        assert make_env.main(["--demo", "--file", str(file)]) == 0
    assert stat.S_IMODE(one.stat().st_mode) == 0o600
    env = read_env(one)
    assert set(ENV) <= set(env)
    assert env["COMPOSE_PROFILES"] == "demo"
    secret = {name for name in env if "PASSWORD" in name or "ACCOUNTS" in name}
    assert all(env[name] != read_env(two)[name] for name in secret)
    web = deployment.read(env)["services"]["web"]
    assert deployment.environment(web, env)["RINGDESK_TWILIO_API_BASE"] == "http://simulator:8081/twilio"
    account = json.loads(env["RINGDESK_TWILIO_ACCOUNTS"])[0]
    played = _as_played(account)
    assert (played["account_sid"], played["auth_token"]) == (account["sid"], account["auth_tokens"][0])


def test_env_that_exists_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "env"
    assert make_env.main(["--public-url", "https://desk.example.com", "--file", str(file)]) == 0
    before = file.read_text()
    with pytest.raises(Missing, match="RINGDESK_TWILIO_ACCOUNTS"):
        deployment.read(read_env(file))
    assert make_env.main(["--demo", "--file", str(file)]) == 1
    assert "is kept" in capsys.readouterr().err
    assert file.read_text() == before


# --- pipelines -----------------------------------------------------------------------------------------------------


def test_pipelines_call_ci_run_and_nothing_else() -> None:
    jenkins = (ROOT / "Jenkinsfile").read_text()
    assert re.findall(r"^\s*(?:sh|bat|powershell)\b\s*(.*)$", jenkins, re.M) == ["'.ci/run'"]
    assert jenkins.count("{") == jenkins.count("}")
    assert re.search(r"pipeline \{.*agent .*stages \{.*stage\(.*steps \{", jenkins, re.S)
    jobs = YAML(typ="safe").load((ROOT / ".gitlab-ci.yml").read_text())
    assert [job["script"] for job in jobs.values()] == [[".ci/run"]]
    run = ROOT / ".ci/run"
    assert os.access(run, os.X_OK)
    assert re.findall(r"^python3 (.*) \|\|", run.read_text(), re.M) == ["dev.py check", "dev.py test"]


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="renders with docker-compose")
def test_docker_compose_reads_it_as_we_do() -> None:
    rendered = subprocess.run(
        ["docker-compose", "--profile", "demo", "--env-file", os.devnull, "config", "--format", "json"],
        cwd=ROOT, env={"PATH": os.environ["PATH"], "HOME": "/", **ENV}, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    theirs, ours = json.loads(rendered.stdout)["services"], services()
    assert set(theirs) == set(ours)
    for name, service in ours.items():
        command = [
            word.replace("$$", "$") for word in theirs[name].get("command") or ()
        ]  # as it would be written again
        assert command == (service.get("command") or []), name
        environment = {k: v for k, v in (theirs[name].get("environment") or {}).items() if v is not None}
        assert environment == deployment.environment(service, ENV), name


def test_make_env_runs_on_a_bare_python(tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", str(ROOT / "deploy/make_env.py"), "--demo", "--file", str(tmp_path / "env")]
    assert subprocess.run(command, check=False, timeout=30).returncode == 0
