"""Rules in words: every field, operator and step has its words in both languages."""

from typing import Any

import pytest

from core.texts import LANGUAGES
from routing.rules import ALL_OPERATORS, FIELDS, OPERATORS, Kind
from routing.sentences import FIELD_NAMES, condition, rule_sentence

QUEUES = {"support": {"en": "Support", "zh-CN": "客服"}}
SKILLS = {"billing": {"en": "Billing", "zh-CN": "账单"}}
A_VALUE: dict[Kind, Any] = {
    Kind.TEXT: "vip",
    Kind.NUMBER: 3,
    Kind.BOOL: True,
    Kind.LIST: "urgent",
    Kind.CLOCK: ["08:00", "18:00"],
}


def words(rule: dict[str, Any]) -> tuple[str, str]:
    said = rule_sentence(rule, queues=QUEUES, skills=SKILLS)
    return said["en"], said["zh-CN"]


def test_the_rule_of_the_how_to() -> None:
    rule = {
        "name": "VIP with a billing question",
        "when": {"all": [{"field": "customer.tier", "op": "==", "value": "vip"},
                         {"field": "call.queue", "op": "==", "value": "support"}]},
        "then": {"queue": "support", "tier": 1, "boost_s": 60, "steps": [
            {"after_s": 0, "require": [{"skill": "billing", "level": 3}], "offers": 2}, {"after_s": 60, "require": []}]},
    }  # fmt: skip
    assert words(rule) == (
        (
            "If the customer's tier is “vip” and the dialled queue is “Support”: queue “Support”, rank 1, 60 s ahead. "
            "At once: those with “Billing” ≥ 3, 2 asked together; After 60 s: everybody in the queue."
        ),
        (
            "如果客户等级为“vip”且拨入的队列为“客服”：进入队列“客服”，优先级1，提前60秒。"
            "立即：具备“账单” ≥ 3的坐席，同时询问2位；60秒后：队列内的所有坐席。"
        ),
    )


def test_the_default_rule() -> None:
    assert words({"name": "rest"}) == (
        "Otherwise: the dialled queue. At once: everybody in the queue.",
        "其他情况：进入拨入的队列。立即：队列内的所有坐席。",
    )


def test_the_rank_of_a_step() -> None:
    steps = [{"after_s": 0}, {"after_s": 30, "boost_s": 60}, {"after_s": 60, "tier": 2}, {"after_s": 90, "boost_s": 0}]
    assert words({"name": "rest", "then": {"tier": 1, "steps": steps}}) == (
        (
            "Otherwise: the dialled queue, rank 1. At once: everybody in the queue; After 30 s: everybody in the queue, 60 s ahead; "
            "After 60 s: everybody in the queue, rank 2; After 90 s: everybody in the queue, no head start."
        ),
        (
            "其他情况：进入拨入的队列，优先级1。立即：队列内的所有坐席；30秒后：队列内的所有坐席，提前60秒；"
            "60秒后：队列内的所有坐席，优先级2；90秒后：队列内的所有坐席，不再提前。"
        ),
    )


def test_whom_to_ask_first() -> None:
    step = {
        "after_s": 0,
        "require": [{"skill": "billing", "level": 2}],
        "prefer": [{"skill": "german", "level": 3}],
        "order": ["best_skill", {"skill": "billing"}, "round_robin"],
    }
    assert words({"name": "all", "then": {"steps": [step, {"after_s": 9, "order": ["preserve_specialists"]}]}}) == (
        (
            "Otherwise: the dialled queue. At once: those with “Billing” ≥ 2, preferably with “german” ≥ 3, highest skill levels first, "
            "then highest level in “Billing” first, then in turn; After 9 s: everybody in the queue, those with rare other skills last."
        ),
        (
            "其他情况：进入拨入的队列。立即：具备“账单” ≥ 2的坐席，优先“german” ≥ 3，技能等级高者优先，其次“账单”等级高者优先，其次轮流；"
            "9秒后：队列内的所有坐席，其他技能稀缺者靠后。"
        ),
    )


@pytest.mark.parametrize(
    ("node", "en", "zh"),
    [
        ({"field": "time.weekday", "op": "in", "value": [6, 7]}, "the day is Saturday or Sunday", "当天为周六或周日"),
        ({"field": "time.clock", "op": "within_hours", "value": ["08:00", "18:00"]},
         "the time is from 08:00 to before 18:00", "时间在08:00至18:00之前"),
        ({"field": "ticket.is_new", "op": "==", "value": False}, "the ticket was open before the call", "来电前工单已存在"),
        ({"field": "ticket.is_new", "op": "!=", "value": False}, "the ticket is new", "工单是新建的"),
        ({"not": {"field": "customer.tier", "op": "exists"}}, "the customer's tier is not known", "客户等级未知"),
        ({"field": "call.language", "op": "!=", "other": "customer.language"},
         "the language of the call is not the customer's language", "来电语言不为客户语言"),
        ({"not": {"any": [{"field": "customer.id", "op": "between", "value": [1, 9]},
                          {"field": "ticket.tags", "op": "has_all", "value": ["a", "b"]}]}},
         "it is not so that (the customer's number is from 1 to 9 or the ticket's tags include all of “a”, “b”)",
         "并非（客户编号在1到9之间或工单标签同时包含“a”、“b”）"),
    ],
)  # fmt: skip
def test_conditions(node: dict[str, Any], en: str, zh: str) -> None:
    assert (condition(node, "en", QUEUES), condition(node, "zh-CN", QUEUES)) == (en, zh)


def test_every_field_and_operator_has_words() -> None:
    assert set(FIELD_NAMES) == set(FIELDS)
    said = set()
    for field, kind in FIELDS.items():
        for op in OPERATORS[kind]:
            value = A_VALUE[kind]
            lists = op in ("in", "not_in", "has_any", "has_all", "between")
            leaf = {"field": field, "op": op} | (
                {} if op == "exists" else {"value": [value, value] if lists else value}
            )
            for language in LANGUAGES:
                text = condition(leaf, language, QUEUES)
                assert text
                assert "{" not in text
            said.add(op)
    assert said == ALL_OPERATORS


def test_whom_it_is_kept_for() -> None:
    assert words({"name": "all", "then": {"sticky": {"agent": "last_agent", "wait_s": 30}}}) == (
        "Otherwise: the dialled queue, kept for the agent the customer last talked with for up to 30 s. At once: everybody in the queue.",
        "其他情况：进入拨入的队列，为该客户上次通话的坐席保留最多30秒。立即：队列内的所有坐席。",
    )
    direct = {"agent": "ava@example.com", "wait_s": 60, "if_away": True}
    assert words({"name": "all", "then": {"sticky": direct}})[0].startswith(
        "Otherwise: the dialled queue, kept for ava@example.com for up to 60 s, even if away."
    )
