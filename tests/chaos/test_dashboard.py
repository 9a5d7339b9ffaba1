"""The dashboard with data: a real Prometheus scrapes a deployment at work and answers every panel's query, and no alert fires.

Its answers are printed: they are what Grafana would draw.
"""

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import ClientError, ClientSession, ClientTimeout

from app.embedded.children import free_port
from tests.chaos.loads import nothing_lost
from tests.chaos.stack import IS_FULL, ROOT, Stack, until

PANELS: Final[list[dict[str, Any]]] = json.loads((ROOT / "deploy" / "grafana" / "ringdesk.json").read_text())["panels"]
RULES: Final = ROOT / "deploy" / "prometheus" / "ringdesk.rules.yml"
RATE_INTERVAL: Final = "10s"
AT_WORK_S: Final = 25.0
SPEAKS_OF_TROUBLE: Final = re.compile(
    r"ALERTS|refused_total|repeats_total|overflow_total|result!=|emergency|pop_painted"
)
"""Empty is right where nothing has gone wrong. `pop_painted`: scripted agents have no screen."""

pytestmark = [pytest.mark.timeout(600), pytest.mark.skipif(not IS_FULL, reason="long: set RINGDESK_TEST_FULL=1")]


@asynccontextmanager
async def prometheus(folder: Path, targets: tuple[str, ...]) -> AsyncIterator[str]:
    """Its address."""
    program = shutil.which("prometheus")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("prometheus is not installed")
        pytest.skip("prometheus is not installed (Debian package prometheus)")
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "ringdesk", "static_configs": [{"targets": list(targets)}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        program, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:

        async def is_ready() -> bool:
            try:
                async with ClientSession(timeout=ClientTimeout(total=2)) as http, http.get(f"{url}/-/ready") as answer:
                    return answer.status == 200
            except (ClientError, TimeoutError):
                return False

        await until(is_ready, within_s=30, what="Prometheus is ready")
        yield url
    finally:
        process.terminate()
        try:
            async with asyncio.timeout(20):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def ask(url: str, query: str) -> list[dict[str, Any]]:
    query = query.replace("$__rate_interval", RATE_INTERVAL)
    async with (
        ClientSession(timeout=ClientTimeout(total=10)) as http,
        http.get(f"{url}/api/v1/query", params={"query": query}) as answer,
    ):
        found = await answer.json()
    assert found["status"] == "success", (query, found)
    return list(found["data"]["result"])


async def test_every_panel_has_its_data_and_nothing_is_alarmed(stack: Stack, tmp_path: Path) -> None:
    lines, empty = [], []
    async with nothing_lost(stack, "the dashboard", seed=20) as load, prometheus(tmp_path, stack.scraped) as url:
        await load.answered(12)
        await asyncio.sleep(AT_WORK_S)  # what a rate needs behind it
        for panel in PANELS:
            for target in panel.get("targets", ()):
                series = await ask(url, target["expr"])
                lines.append(f"{panel['title']}: {target['expr']}")
                for one in series:
                    labels = ", ".join(f"{k}={v}" for k, v in sorted(one["metric"].items()) if k != "__name__")
                    lines.append(f"    {labels or '—':<60} {float(one['value'][1]):.4g}")
                if not series and not SPEAKS_OF_TROUBLE.search(target["expr"]):
                    empty.append(target["expr"])
        up = await ask(url, "up")
        alarmed = await ask(url, 'ALERTS{alertstate="firing"}')
    sys.stdout.write("\n" + "\n".join(lines) + "\n")
    assert [one["value"][1] for one in up] == ["1"] * len(stack.scraped)
    assert empty == []
    assert alarmed == []
