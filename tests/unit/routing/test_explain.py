"""Sentences for people, in both languages: why this agent, why still waiting, how an offer ended."""

from typing import Any

import pytest

from routing.decide import explain
from routing.explain import HELD, REASONS, cannot_take, decision_sentence, why_agent, why_waiting
from routing.model import AgentView, By, OfferState, PresenceState, Step, Verdict, WaitingItem
from tests.unit.routing.pool import NOW, an_agent, an_item, busy, need


def test_every_verdict_has_its_words_in_both_languages() -> None:
    for verdict in Verdict:
        assert set(REASONS[verdict]) == {"en", "zh-CN"}
        assert all(text.strip() for text in REASONS[verdict].values())


@pytest.mark.parametrize(
    ("counts", "en", "zh"),
    [
        ({"chosen": 1}, "the only free and able agent.", "唯一空闲且符合条件的坐席。"),
        ({}, "the only free and able agent.", "唯一空闲且符合条件的坐席。"),
        ({"chosen": 1, "in_call": 4}, "the only free and able agent.", "唯一空闲且符合条件的坐席。"),
        ({"chosen": 1, "taken_this_pass": 2}, "the only free and able agent.", "唯一空闲且符合条件的坐席。"),
        (
            {"chosen": 1, "eligible": 2},
            "idle longest of 3 free and able agents.",
            "3位空闲且符合条件的坐席中空闲最久。",
        ),
        (
            {"chosen": 2, "eligible": 3},
            "one of 2 asked together, out of 5 free and able agents.",
            "5位空闲且符合条件的坐席中同时询问的2位之一。",
        ),
        ({"chosen": 1, "more": 1}, "idle longest of all free and able agents.", "所有空闲且符合条件的坐席中空闲最久。"),
        (
            {"chosen": 1, "eligible": 99, "more": 1},
            "idle longest of at least 100 free and able agents.",
            "至少100位空闲且符合条件的坐席中空闲最久。",
        ),
    ],
)
def test_why_this_agent(counts: dict[str, int], en: str, zh: str) -> None:
    assert why_agent("VIP first", 1, "longest_idle", counts) == {
        "en": f"Rule “VIP first”, step 2: {en}",
        "zh-CN": f"规则“VIP first”，第2步：{zh}",
    }


@pytest.mark.parametrize(
    ("by", "en", "zh"),
    [
        ("round_robin", "next in turn", "轮到该坐席"),
        ("best_skill", "highest skill levels", "技能等级最高"),
        ("skill:german", "highest level in german", "german等级最高"),
        ("preserve_specialists", "whose other skills are the least rare", "其他技能最不稀缺"),
        ("prefer", "has most of what is preferred", "最符合优先条件"),
    ],
)
def test_the_criterion_that_decided_is_named(by: str, en: str, zh: str) -> None:
    sentence = why_agent("all", 0, by, {"chosen": 1, "eligible": 2})
    assert sentence["en"] == f"Rule “all”, step 1: {en} of 3 free and able agents."
    assert sentence["zh-CN"] == f"规则“all”，第1步：3位空闲且符合条件的坐席中{zh}。"


def test_every_criterion_has_its_words() -> None:
    said = {why_agent("all", 0, by.value, {"eligible": 1})["en"] for by in By}
    assert len(said) == len(By)


def sentences(item: WaitingItem, agents: list[AgentView], *, ahead: int = 0) -> list[tuple[str, str]]:
    found = why_waiting(item, explain(item, agents, NOW), NOW, ahead=ahead)
    return [(sentence["en"], sentence["zh-CN"]) for sentence in found]


SPANISH = (Step(0.0, (need("spanish", 3), need("billing"))), Step(30.0))


def test_why_nobody_has_it_yet() -> None:
    skills = {"spanish": 4, "billing": 1}
    agents = [
        an_agent(1, skills=skills, **busy("in_call")),
        an_agent(2, skills=skills, **busy("in_call")),
        an_agent(3, skills=skills, presence=PresenceState.BREAK),
        an_agent(4, skills={"billing": 1}),
        an_agent(5, skills=skills, queues=frozenset({"sales"})),
    ]
    assert sentences(an_item(waited_s=16.4, steps=SPANISH), agents, ahead=2) == [
        (
            "3 agents fit step 1 (spanish ≥ 3 and billing ≥ 1): 2 in a call, 1 on break.",
            "3位坐席符合第1步（spanish ≥ 3、billing ≥ 1）：2位通话中，1位休息中。",
        ),
        ("2 waiting items are ahead in the line.", "前面还有2位在等待。"),
        ("Step 2 opens in 14 s and requires nothing in particular.", "第2步将在14秒后开始，要求：无特殊要求。"),
    ]


def test_nobody_has_what_is_required() -> None:
    assert sentences(an_item(waited_s=1, steps=SPANISH[:1]), [an_agent(1), an_agent(2)]) == [
        (
            "No agent of queue support has what step 1 requires (spanish ≥ 3 and billing ≥ 1).",
            "队列support中没有坐席满足第1步的要求（spanish ≥ 3、billing ≥ 1）。",
        )
    ]


def test_one_is_said_as_one() -> None:
    assert sentences(an_item(), [an_agent(1, presence=PresenceState.OFFLINE)], ahead=1) == [
        ("1 agent fits step 1 (nothing in particular): 1 offline.", "1位坐席符合第1步（无特殊要求）：1位离线。"),
        ("1 waiting item is ahead in the line.", "前面还有1位在等待。"),
    ]


def test_in_the_last_step_no_further_one_is_promised() -> None:
    assert len(sentences(an_item(waited_s=31, steps=SPANISH), [an_agent()])) == 1
    assert "step 2" in sentences(an_item(waited_s=31, steps=SPANISH), [an_agent()])[0][0]


def a_row(**fields: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "chosen_name": "Ava",
        "offer_state": "accepted",
        "offer_reason": None,
        "rule": "all",
        "step": 0,
        "chosen_by": "longest_idle",
        "counts": {},
    }
    return row | fields


@pytest.mark.parametrize(
    ("state", "reason", "en", "zh"),
    [
        ("pending", None, "has not answered yet", "尚未响应"),
        ("accepted", None, "accepted", "已接听"),
        ("wrapping", None, "accepted", "已接听"),
        ("completed", None, "accepted", "已接听"),
        ("rejected", "busy", "declined", "拒接"),
        ("timeout", "no_answer", "did not answer in time", "超时未接"),
        ("rescinded", "taken", "was too late: somebody else took it", "来电已被他人接听"),
        ("rescinded", "agent_left", "left before answering", "在响应前离开"),
        ("canceled", "caller_left", "was not connected before the caller left", "接通前来电者已挂断"),
        ("canceled", "connect_failed", "accepted but could not be connected", "已接听但未能接通"),
        (None, None, "was offered it", "收到来电"),
    ],
)
def test_how_an_offer_ended(state: str | None, reason: str | None, en: str, zh: str) -> None:
    sentence = decision_sentence(a_row(offer_state=state, offer_reason=reason))
    assert sentence["en"] == f"Offered to Ava, who {en}. Rule “all”, step 1: the only free and able agent."
    assert sentence["zh-CN"] == f"分配给Ava，{zh}。规则“all”，第1步：唯一空闲且符合条件的坐席。"


def test_every_state_of_an_offer_has_its_words() -> None:
    for state in OfferState:
        assert "was offered it" not in decision_sentence(a_row(offer_state=state))["en"]


def test_an_agent_who_is_gone_has_no_name() -> None:
    assert decision_sentence(a_row(chosen_name=None))["en"].startswith("Offered to —, who")


# --- by hand ------------------------------------------------------------------------------------------------------------------------


def test_the_pop_of_a_push_names_who_pushed() -> None:
    assert why_agent("VIP", 0, "push:Mei", {"chosen": 1}) == {"en": "Pushed by Mei.", "zh-CN": "由Mei指派。"}


def test_a_push_is_told_with_what_it_overruled() -> None:
    row = a_row(
        chosen_by="push:Mei", chosen_agent_id=7, verdicts=[{"agent_id": 7, "verdict": "chosen", "detail": "on_break"}]
    )
    assert decision_sentence(row) == {
        "en": "Pushed by Mei to Ava. At that time: on break. Ava accepted.",
        "zh-CN": "由Mei指派给Ava。当时：休息中。Ava已接听。",
    }
    undone = a_row(
        chosen_by="push:Mei", chosen_agent_id=7, verdicts=[{"agent_id": 7, "verdict": "chosen"}],
        offer_state="rescinded", offer_reason="undone",
    )  # fmt: skip
    assert decision_sentence(undone)["en"] == "Pushed by Mei to Ava. Ava was asked until it was taken back."


def test_a_pick_is_told_as_one() -> None:
    row = a_row(chosen_by="pick:Ava", chosen_agent_id=7, verdicts=[{"agent_id": 7, "verdict": "chosen"}])
    assert decision_sentence(row) == {"en": "Taken from the line by Ava.", "zh-CN": "Ava主动从队列接起。"}


@pytest.mark.parametrize("verdict", [*Verdict, HELD])
def test_every_refusal_has_its_sentence(verdict: str) -> None:
    sentence = cannot_take("Ava", verdict)
    assert sentence["en"].startswith("Ava cannot take it: ")
    assert sentence["zh-CN"].startswith("Ava无法接听：")
