"""What the route layer promises beyond one transaction per command: bare commands, and text that Postgres can store."""

from collections.abc import AsyncIterator

import pytest

from core.principal import READERS
from infra.openapi import ApiModel, Call, Routes, document
from infra.resources import Resources
from tests.api import Api, serving

ROUTES = Routes("test")


class Words(ApiModel):
    text: str = ""
    nested: tuple[dict[str, str], ...] = ()


@ROUTES.bare("POST", "/api/v1/bare", roles=READERS, body=Words, returns=dict, status=201)
async def bare(call: Call[Words]) -> dict[str, int]:
    """Tells how many connections are in use while it runs."""
    return {"in_use": call.resources.database.in_use}


@ROUTES.bare("DELETE", "/api/v1/bare", roles=READERS)
async def nothing(call: Call[ApiModel]) -> None:
    """Answers nothing."""


@pytest.fixture
async def bare_api(resources: Resources, clean: None) -> AsyncIterator[Api]:
    async with serving(resources, ROUTES) as served:
        yield served


async def test_bare_command_holds_no_connection(bare_api: Api) -> None:
    agent = await bare_api.logged_in()
    async with agent.post("/api/v1/bare", json={}) as answer:
        assert (answer.status, await answer.json()) == (201, {"in_use": 0})
    async with agent.delete("/api/v1/bare") as answer:
        assert answer.status == 204


async def test_bare_command_has_rights_and_a_checked_body(bare_api: Api) -> None:
    async with (await bare_api.browser()).post("/api/v1/bare", json={}) as answer:
        assert answer.status == 401
    async with (await bare_api.logged_in()).post("/api/v1/bare", json={"other": 1}) as answer:
        assert answer.status == 422


@pytest.mark.parametrize(
    "body",
    [r'{"text": "a\u0000"}', r'{"text": "\ud800"}', r'{"nested": [{"a": "\u0000"}]}', r'{"nested": [{"\u0000": "a"}]}'],
)
async def test_text_that_postgres_cannot_store_is_refused(bare_api: Api, body: str) -> None:
    agent = await bare_api.logged_in()
    async with agent.post("/api/v1/bare", data=body, headers={"Content-Type": "application/json"}) as answer:
        assert (answer.status, (await answer.json())["code"]) == (422, "invalid")
    async with agent.post("/api/v1/bare", json={"text": "😀 𠮷 \u202e"}) as answer:
        assert answer.status == 201


def test_bare_command_is_documented_like_any_other() -> None:
    paths = document(ROUTES.operations, version="1")["paths"]["/api/v1/bare"]
    assert "requestBody" in paths["post"]
    assert {"201", "401", "403", "409", "422", "429"} <= set(paths["post"]["responses"])
