"""A missing result blocks nobody: the call goes to a list, and its result can be given later, or corrected at once."""

from tests.stack import Agent, Stack


async def a_call_over(stack: Stack) -> tuple[Agent, int]:
    """Ava has talked; wrap-up ran out without her."""
    ava = await stack.agent("ava")
    leg = await stack.dial()
    call_id, _ = await ava.take()
    leg.leave()
    await stack.quiet()
    assert await stack.fire("routing.wrap_up") == 1
    return ava, call_id


async def dispositions(stack: Stack) -> None:
    await stack.rows(
        """INSERT INTO dispositions (key, name, digit, queue, position, resolves_ticket) VALUES
           ('info', '{"en": "Information"}', 1, NULL, 1, true), ('later', '{"en": "Call back"}', 2, NULL, 2, false) RETURNING 1"""
    )


async def older(stack: Stack, by: str) -> None:
    """As if the call had been so long ago, in all its moments."""
    moments = ("created_at", "deadline", "accepted_at", "connected_at", "wrap_started_at", "wrap_ends_at", "ended_at")
    changes = ", ".join(f"{each} = {each} - interval '{by}'" for each in moments)
    await stack.rows(f"UPDATE offers SET {changes} RETURNING 1")


async def listed(ava: Agent) -> list[int]:
    _, answer = await ava.ask("GET", "/desk/without-result")
    return [each["call_id"] for each in answer["items"]]


async def result(ava: Agent, call_id: int, disposition: str | None) -> tuple[int, str]:
    status, answer = await ava.ask("PUT", f"/calls/{call_id}/result", {"disposition": disposition})
    return status, answer.get("code", "")


async def test_a_missing_result_goes_to_a_list_and_frees_the_agent(stack: Stack) -> None:
    await dispositions(stack)
    ava, call_id = await a_call_over(stack)
    assert await listed(ava) == [call_id]
    assert await stack.value("SELECT used_units FROM agents WHERE id = $1", ava.id) == 0
    await older(stack, "1 day")

    assert await result(ava, call_id, "info") == (200, "")
    assert await listed(ava) == []
    assert await stack.value("SELECT disposition FROM calls") == "info"
    assert await stack.value("SELECT state FROM tickets") == "resolved"
    assert await stack.value("SELECT assignee_id FROM tickets") == ava.id
    assert await result(ava, call_id, "info") == (200, ""), "the same again changes nothing"
    assert await result(ava, call_id, "later") == (409, "result_is_final")


async def test_a_result_can_be_corrected_for_a_moment(stack: Stack) -> None:
    await dispositions(stack)
    ava, call_id = await a_call_over(stack)
    assert await result(ava, call_id, "info") == (200, "")
    assert await result(ava, call_id, None) == (200, ""), "taken back"
    assert (await listed(ava), await stack.value("SELECT state FROM tickets")) == ([call_id], "open")
    assert await result(ava, call_id, "later") == (200, "")
    assert await stack.value("SELECT disposition FROM calls") == "later"
    assert await stack.value("SELECT state FROM tickets") == "open"


async def test_a_choice_during_the_call_is_kept_whatever_ends_it(stack: Stack) -> None:
    """Nobody comes back to finish: wrap-up runs out, and the call has the result that was chosen last."""
    await dispositions(stack)
    ava, ben = await stack.agent("ava"), await stack.agent("ben")
    leg = await stack.dial()
    call_id, _ = await ava.take()
    for chosen in ("later", None, "later", "info", "info"):
        assert await result(ava, call_id, chosen) == (200, "")
        _, desk = await ava.ask("GET", "/desk")
        assert [call["disposition"] for call in desk["calls"]] == [chosen]
    assert await result(ben, call_id, "later") == (404, "not_found")
    assert await stack.value("SELECT disposition FROM calls") is None, "the call has no result yet"
    leg.leave()
    await stack.quiet()
    assert await result(ava, call_id, "later") == (200, ""), "still in wrap-up"
    assert await stack.fire("routing.wrap_up") == 1
    assert await stack.value("SELECT disposition FROM calls") == "later"
    assert await stack.value("SELECT state FROM tickets") == "open"
    assert await listed(ava) == []


async def test_refusals_say_what_is_wrong(stack: Stack) -> None:
    await dispositions(stack)
    ava, call_id = await a_call_over(stack)
    ben = await stack.agent("ben")
    assert await result(ben, call_id, "info") == (404, "not_found")
    status, answer = await ava.ask("PUT", f"/calls/{call_id}/result", {"disposition": "nonsense"})
    assert (status, answer["errors"][0]["field"]) == (422, "disposition")
    await older(stack, "8 days")
    assert await listed(ava) == []
    assert await result(ava, call_id, "info") == (409, "result_is_final")


async def test_where_there_is_nothing_to_choose_nothing_is_missing(stack: Stack) -> None:
    ava, _ = await a_call_over(stack)
    assert await listed(ava) == []
