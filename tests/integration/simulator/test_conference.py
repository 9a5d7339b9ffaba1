"""Conferences by TwiML and by REST, and what they report."""

from typing import Any

import aiohttp
import pytest

from core import demo_account
from simulator.provider.leg import Leg
from tests.integration.simulator.service import Asked, World

EVENTS = "start end join leave mute hold modify announcement"


def room(label: str, *, ends: bool = False, more: str = "", callback: str = "/conference", name: str = "call_1") -> str:
    return (
        f'<Dial action="/dialed"><Conference participantLabel="{label}" endConferenceOnExit="{str(ends).lower()}" '
        f'statusCallback="{callback}" statusCallbackEvent="{EVENTS}" {more}>{name}</Conference></Dial>'
    )


async def two_talking(world: World, *, customer: str | None = None, agent: str | None = None) -> tuple[Leg, Leg]:
    world.service.answers |= {
        "/twilio/voice": customer or room("customer", ends=True),
        "/twilio/agent": agent or room("agent_7"),
    }
    caller = world.call()
    await world.clock.advance(5)
    phone = world.exchange.connect_phone("agent_7", {"CallId": "1"})
    await world.clock.advance(5)
    assert caller.is_talking
    assert phone.is_talking
    return caller, phone


def events(world: World, path: str = "/conference") -> list[tuple[str, str]]:
    """(event, label) in the order of their sequence numbers."""
    asked = sorted(world.service.at(path), key=lambda a: int(a["SequenceNumber"]))
    return [(a["StatusCallbackEvent"], a.fields.get("ParticipantLabel", "")) for a in asked]


async def rest(world: World, method: str, path: str, **fields: str) -> tuple[int, Any]:
    base = f"{world.rest_base}/2010-04-01/Accounts/{demo_account.ACCOUNT_SID}"
    headers = {
        "Authorization": aiohttp.encode_basic_auth(demo_account.ACCOUNT_SID, demo_account.AUTH_TOKEN),
    }
    async with world.http.request(method, base + path, data=fields or None, headers=headers) as response:
        return response.status, await response.json() if response.status != 204 else None


async def test_a_conference_tells_its_life(world: World) -> None:
    caller, phone = await two_talking(world)
    caller.leave()
    await world.over(phone)
    assert events(world) == [
        ("participant-join", "customer"),
        ("participant-join", "agent_7"),
        ("conference-start", ""),
        ("participant-leave", "customer"),
        ("participant-leave", "agent_7"),
        ("conference-end", ""),
    ]
    first, *_, left, moved, end = sorted(world.service.at("/conference"), key=lambda a: int(a["SequenceNumber"]))
    assert all(a.is_signed for a in world.service.asked)
    assert (first["FriendlyName"], first["CallSid"], first["SequenceNumber"]) == ("call_1", caller.sid, "1")
    assert first["EndConferenceOnExit"] == "true"
    assert (left["ReasonParticipantLeft"], left["ParticipantCallStatus"]) == ("participant_hung_up", "completed")
    assert moved["ReasonParticipantLeft"] == "moderator_ended_conference"
    assert end["ReasonConferenceEnded"] == "participant-with-end-conference-on-exit-left"
    assert end["CallSidEndingConference"] == caller.sid
    assert end["ParticipantLabelEndingConference"] == "customer"


async def test_one_alone_has_not_started_it(world: World) -> None:
    world.service.answers["/twilio/voice"] = room("customer")
    caller = world.call()
    await world.clock.advance(5)
    assert caller.conference is not None
    assert caller.conference.status == "init"
    assert events(world) == [("participant-join", "customer")]


async def test_the_dial_action_is_asked_also_when_the_caller_hung_up(world: World) -> None:
    caller, phone = await two_talking(world)
    world.service.answers["/dialed"] = "<Say>What now?</Say>"
    caller.leave()
    await world.over(phone)
    by_sid = {a["CallSid"]: a for a in world.service.at("/dialed")}
    assert by_sid[caller.sid]["CallStatus"] == "completed"
    assert by_sid[phone.sid]["CallStatus"] == "in-progress"
    assert {a["DialCallStatus"] for a in by_sid.values()} == {"answered"}
    assert [h.text for h in caller.heard] == []
    assert [h.text for h in phone.heard] == ["What now?"]


async def test_only_the_first_participants_callback_counts(world: World) -> None:
    caller, phone = await two_talking(world, agent=room("agent_7", callback="/other"))
    caller.leave()
    await world.over(phone)
    assert world.service.at("/other") == []
    assert len(world.service.at("/conference")) == 6


async def test_the_last_to_leave_ends_it(world: World) -> None:
    caller, phone = await two_talking(world, customer=room("customer", ends=False))
    phone.leave()
    await world.clock.advance(5)
    assert caller.conference is not None
    assert not caller.is_talking
    caller.leave()
    await world.over(caller)
    end = next(a for a in world.service.at("/conference") if a["StatusCallbackEvent"] == "conference-end")
    assert end["ReasonConferenceEnded"] == "last-participant-left"


async def test_a_name_is_free_again_after_the_end(world: World) -> None:
    caller, phone = await two_talking(world)
    caller.leave()
    await world.over(phone)
    later = world.call()
    await world.clock.advance(1)
    assert [c.status for c in world.exchange.conferences.values()] == ["completed", "init"]
    later.leave()
    await world.over(later)


async def test_hold_plays_music_to_the_held_one(world: World) -> None:
    caller, phone = await two_talking(world)
    world.service.answers["/music"] = "<Play>waltz.mp3</Play>"
    status, body = await rest(
        world, "POST", f"/Conferences/{caller.conference.sid}/Participants/customer.json",  # type: ignore[union-attr]
        Hold="true", HoldUrl=f"{world.service.url}/music",
    )  # fmt: skip
    assert (status, body["hold"], body["label"]) == (200, True, "customer")
    await world.clock.advance(12)
    assert [h.text for h in caller.heard] == ["waltz.mp3"] * 3
    await rest(
        world, "POST", f"/Conferences/{phone.conference.sid}/Participants/{caller.sid}.json", Hold="false"  # type: ignore[union-attr]
    )  # fmt: skip
    await world.clock.advance(20)
    assert len(caller.heard) == 3
    assert [e for e in events(world) if "hold" in e[0]] == [
        ("participant-hold", "customer"),
        ("participant-unhold", "customer"),
    ]
    assert phone.is_talking


async def test_mute_modify_and_announce_are_reported(world: World) -> None:
    caller, _ = await two_talking(world)
    assert caller.conference is not None
    path = f"/Conferences/{caller.conference.sid}"
    world.service.answers["/news"] = "<Say>This call is recorded</Say>"
    await rest(world, "POST", f"{path}/Participants/agent_7.json", Muted="true")
    await rest(world, "POST", f"{path}/Participants/agent_7.json", Muted="true")
    await rest(world, "POST", f"{path}/Participants/agent_7.json", Coaching="true", CallSidToCoach=caller.sid)
    await rest(world, "POST", f"{path}.json", AnnounceUrl=f"{world.service.url}/news")
    await rest(world, "POST", f"{path}.json", AnnounceUrl=f"{world.service.url}/nothing-there", AnnounceMethod="GET")
    await world.clock.settle()
    assert [e[0] for e in events(world)[3:]] == [
        "participant-mute",
        "participant-modify",
        "announcement-end",
        "announcement-end",
    ]


async def test_a_kicked_participant_goes_on_with_its_document(world: World) -> None:
    caller, phone = await two_talking(world, customer=room("customer"))
    assert phone.conference is not None
    status, _ = await rest(world, "DELETE", f"/Conferences/{phone.conference.sid}/Participants/agent_7.json")
    await world.over(phone)
    assert status == 204
    assert [a["CallSid"] for a in world.service.at("/dialed")] == [phone.sid]
    assert not caller.is_over
    left = next(a for a in world.service.at("/conference") if a["StatusCallbackEvent"] == "participant-leave")
    assert left["ReasonParticipantLeft"] == "participant_updated_via_api"


async def test_ending_it_over_rest_lets_everybody_go(world: World) -> None:
    caller, phone = await two_talking(world)
    assert caller.conference is not None
    sid = caller.conference.sid
    status, body = await rest(world, "POST", f"/Conferences/{sid}.json", Status="completed")
    assert (status, body["status"]) == (200, "completed")
    await world.over(caller)
    await world.over(phone)
    assert events(world)[-1] == ("conference-end", "")
    reasons = {
        a["ReasonParticipantLeft"] for a in world.service.at("/conference") if "ReasonParticipantLeft" in a.fields
    }
    assert reasons == {"conference_ended_via_api"}
    assert (await rest(world, "GET", f"/Conferences/{sid}/Participants.json"))[1]["participants"] == []
    assert (await rest(world, "POST", f"/Conferences/{sid}.json", Status="completed"))[0] == 404


async def test_redirecting_a_leg_takes_it_out(world: World) -> None:
    caller, phone = await two_talking(world)
    status, _ = await rest(world, "POST", f"/Calls/{phone.sid}.json", Twiml="<Response><Say>Elsewhere</Say></Response>")
    assert status == 200
    await world.over(phone)
    assert [h.text for h in phone.heard] == ["Elsewhere"]
    left = next(a for a in world.service.at("/conference") if a["StatusCallbackEvent"] == "participant-leave")
    assert (left["ParticipantLabel"], left["ReasonParticipantLeft"]) == ("agent_7", "participant_updated_via_api")
    assert world.service.at("/dialed") == [], "a redirect does not end the dial"
    assert not caller.is_over


async def test_an_invited_participant_joins_when_it_answers(world: World) -> None:
    world.service.answers["/twilio/voice"] = room("customer")
    caller = world.call()
    await world.clock.advance(2)
    status, body = await rest(
        world, "POST", "/Conferences/call_1/Participants.json",
        From="+14155550199", To="+14155550177", Label="agent_9", StatusCallback=f"{world.service.url}/leg",
    )  # fmt: skip
    assert (status, body["status"], body["label"]) == (201, "queued", "agent_9")
    await world.clock.advance(10)
    assert caller.is_talking
    assert ("participant-join", "agent_9") in events(world)
    assert caller.conference is not None
    _, page = await rest(world, "GET", f"/Conferences/{caller.conference.sid}/Participants.json")
    assert [(p["label"], p["status"]) for p in page["participants"]] == [
        ("customer", "connected"),
        ("agent_9", "connected"),
    ]


@pytest.mark.parametrize("outcome", ["busy", "no-answer", "failed"])
async def test_an_invited_participant_who_does_not_come_is_reported(world: World, outcome: str) -> None:
    world.service.answers["/twilio/voice"] = room("customer")
    world.call()
    await world.clock.advance(2)
    async with world.http.put(f"{world.url}/callees/+14155550177", json={"outcome": outcome}) as response:
        assert response.status == 200
    await rest(
        world, "POST", "/Conferences/call_1/Participants.json", From="+14155550199", To="+14155550177", Label="agent_9"
    )  # fmt: skip
    await world.clock.advance(10)
    (left,) = [a for a in world.service.at("/conference") if a["StatusCallbackEvent"] == "participant-leave"]
    assert (left["ReasonParticipantLeft"], left["ParticipantCallStatus"], left["ParticipantLabel"]) == (
        "participant_add_failed",
        outcome,
        "agent_9",
    )


async def test_a_full_conference_refuses(world: World) -> None:
    world.service.answers["/dialed"] = "<Say>Full</Say>"
    caller, phone = await two_talking(world)
    world.service.answers["/twilio/voice"] = room("late", more='maxParticipants="2"')
    late = world.call()
    await world.over(late)
    assert [h.text for h in late.heard] == ["Full"]
    assert world.service.at("/dialed")[0]["DialCallStatus"] == "failed"
    assert caller.is_talking
    assert phone.is_talking


async def test_wait_music_stops_when_the_conference_starts(world: World) -> None:
    async def music(_: Asked) -> str:
        return "<Play>waltz.mp3</Play>"

    world.service.answers["/music"] = music
    caller, _ = await two_talking(world, customer=room("customer", more='waitUrl="/music"'))
    before = len(caller.heard)
    assert before >= 1
    await world.clock.advance(60)
    assert len(caller.heard) == before
