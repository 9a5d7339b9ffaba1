"""Rules as sentences, in the languages we ship: what an administrator reads before putting them in force. Pure."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

from core.texts import LANGUAGES, in_language
from routing.model import By, Whom
from routing.rules import FIELDS, Kind, first_rank, ranked_steps

Text = dict[str, str]
Names = Mapping[str, Text]
"""Display names by key, of queues or of skills."""

FIELD_NAMES: Final[dict[str, Text]] = {
    "call.from": {"en": "the caller's number", "zh-CN": "主叫号码"},
    "call.from_kind": {"en": "the kind of the caller's number", "zh-CN": "主叫号码类型"},
    "call.to": {"en": "the dialled number", "zh-CN": "被叫号码"},
    "call.language": {"en": "the language of the call", "zh-CN": "来电语言"},
    "call.queue": {"en": "the dialled queue", "zh-CN": "拨入的队列"},
    "call.menu_choice": {"en": "the choice from the menu", "zh-CN": "菜单选择"},
    "ticket.is_new": {"en": "the ticket", "zh-CN": "工单"},
    "ticket.priority": {"en": "the ticket's priority", "zh-CN": "工单优先级"},
    "ticket.state": {"en": "the ticket's state", "zh-CN": "工单状态"},
    "ticket.tags": {"en": "the ticket's tags", "zh-CN": "工单标签"},
    "ticket.queue": {"en": "the ticket's queue", "zh-CN": "工单队列"},
    "customer.id": {"en": "the customer's number", "zh-CN": "客户编号"},
    "customer.match": {"en": "the match of the number", "zh-CN": "号码匹配结果"},
    "customer.tier": {"en": "the customer's tier", "zh-CN": "客户等级"},
    "customer.language": {"en": "the customer's language", "zh-CN": "客户语言"},
    "customer.company": {"en": "the customer's company", "zh-CN": "客户公司"},
    "work.channel": {"en": "the kind of work", "zh-CN": "工作类型"},
    "time.weekday": {"en": "the day", "zh-CN": "当天"},
    "time.clock": {"en": "the time", "zh-CN": "时间"},
}
_DAYS: Final = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "zh-CN": ("周一", "周二", "周三", "周四", "周五", "周六", "周日"),
}
_COMPARED: Final[dict[str, Text]] = {
    "==": {"en": "{field} is {value}", "zh-CN": "{field}为{value}"},
    "!=": {"en": "{field} is not {value}", "zh-CN": "{field}不为{value}"},
    "<": {"en": "{field} is below {value}", "zh-CN": "{field}小于{value}"},
    "<=": {"en": "{field} is at most {value}", "zh-CN": "{field}不大于{value}"},
    ">": {"en": "{field} is above {value}", "zh-CN": "{field}大于{value}"},
    ">=": {"en": "{field} is at least {value}", "zh-CN": "{field}不小于{value}"},
    "between": {"en": "{field} is from {low} to {high}", "zh-CN": "{field}在{low}到{high}之间"},
    "in": {"en": "{field} is {list}", "zh-CN": "{field}为{list}"},
    "not_in": {"en": "{field} is not {list}", "zh-CN": "{field}不为{list}"},
    "has": {"en": "{field} include {value}", "zh-CN": "{field}包含{value}"},
    "has_any": {"en": "{field} include {list}", "zh-CN": "{field}包含{list}"},
    "has_all": {"en": "{field} include all of {all}", "zh-CN": "{field}同时包含{all}"},
    "contains": {"en": "{field} contains {value}", "zh-CN": "{field}含有{value}"},
    "starts_with": {"en": "{field} starts with {value}", "zh-CN": "{field}以{value}开头"},
    "ends_with": {"en": "{field} ends with {value}", "zh-CN": "{field}以{value}结尾"},
    "exists": {"en": "{field} is known", "zh-CN": "{field}已知"},
    "within_hours": {"en": "{field} is from {low} to before {high}", "zh-CN": "{field}在{low}至{high}之前"},
}
_IS_NEW: Final[dict[bool, Text]] = {
    True: {"en": "the ticket is new", "zh-CN": "工单是新建的"},
    False: {"en": "the ticket was open before the call", "zh-CN": "来电前工单已存在"},
}
_WHOM: Final[dict[str, Text]] = {
    Whom.LAST_AGENT: {"en": "the agent the customer last talked with", "zh-CN": "该客户上次通话的坐席"},
    Whom.TICKET_OWNER: {"en": "the owner of the ticket", "zh-CN": "工单负责人"},
}
_AND: Final = {"en": " and ", "zh-CN": "且"}
_OR: Final = {"en": " or ", "zh-CN": "或"}
_NOT: Final = {"en": "it is not so that {inner}", "zh-CN": "并非{inner}"}
_GROUPED: Final = {"en": "({inner})", "zh-CN": "（{inner}）"}
_LISTED: Final = {"en": ", ", "zh-CN": "、"}


def rule_sentence(rule: Mapping[str, Any], *, queues: Names, skills: Names) -> Text:
    """One checked rule: when it fits, where the call goes, who is asked when."""
    return {language: _rule(rule, language, queues, skills) for language in LANGUAGES}


def _rule(rule: Mapping[str, Any], lang: str, queues: Names, skills: Names) -> str:
    is_english = lang == "en"
    if "when" in rule:
        when = condition(rule["when"], lang, queues)
        begin = f"If {when}: " if is_english else f"如果{when}："
    else:
        begin = "Otherwise: " if is_english else "其他情况："
    then = rule.get("then") or {}
    parts = []
    if "queue" in then:
        name = _name(then["queue"], lang, queues)
        parts.append(f"queue {name}" if is_english else f"进入队列{name}")
    else:
        parts.append("the dialled queue" if is_english else "进入拨入的队列")
    steps = ranked_steps(then) or ({"after_s": 0},)
    parts += _rank(first_rank(then), {}, lang)
    if "sticky" in then:
        parts.append(_sticky(then["sticky"], lang))
    told = [_step(step, lang, skills) for step in steps]
    for number, (before, step) in enumerate(pairwise(steps), 1):
        told[number] = (", " if is_english else "，").join((told[number], *_rank(step, before, lang)))
    asked = ("; " if is_english else "；").join(told)
    end = "." if is_english else "。"
    return begin + (", " if is_english else "，").join(parts) + end + (" " if is_english else "") + asked + end


def _rank(now: Mapping[str, Any], before: Mapping[str, Any], lang: str) -> list[str]:
    """As far as it is another than before."""
    tier, boost_s = now.get("tier", 0), now.get("boost_s", 0)
    parts = []
    if tier != before.get("tier", 0):
        parts.append(f"rank {tier}" if lang == "en" else f"优先级{tier}")
    if boost_s != before.get("boost_s", 0):
        ahead, none = (f"{boost_s} s ahead", "no head start") if lang == "en" else (f"提前{boost_s}秒", "不再提前")
        parts.append(ahead if boost_s else none)
    return parts


_ORDERED: Final[dict[str, Text]] = {
    By.LONGEST_IDLE: {"en": "idle longest first", "zh-CN": "空闲最久者优先"},
    By.ROUND_ROBIN: {"en": "in turn", "zh-CN": "轮流"},
    By.WEIGHTED: {"en": "in turn by weight", "zh-CN": "按权重轮流"},
    By.LEAST_LOADED: {"en": "fewest tickets at hand first", "zh-CN": "手头工单最少者优先"},
    By.BEST_SKILL: {"en": "highest skill levels first", "zh-CN": "技能等级高者优先"},
    By.PRESERVE_SPECIALISTS: {"en": "those with rare other skills last", "zh-CN": "其他技能稀缺者靠后"},
}


def _sticky(sticky: Mapping[str, Any], lang: str) -> str:
    names = _WHOM.get(sticky["agent"])
    who = sticky["agent"] if names is None else names[lang]
    if lang == "en":
        return f"kept for {who} for up to {sticky['wait_s']} s{', even if away' if sticky.get('if_away') else ''}"
    return f"为{who}保留最多{sticky['wait_s']}秒{'（即使不在线）' if sticky.get('if_away') else ''}"


def _step(step: Mapping[str, Any], lang: str, skills: Names) -> str:
    needs = [_need(need, lang, skills) for need in step.get("require", ())]
    wishes = [_need(need, lang, skills) for need in step.get("prefer", ())]
    order = [_criterion(each, lang, skills) for each in step.get("order", ())]
    together = step.get("offers", 1)
    if lang == "en":
        when = f"After {step['after_s']:g} s" if step["after_s"] else "At once"
        who = f"those with {_AND['en'].join(needs)}" if needs else "everybody in the queue"
        wish = f", preferably with {_AND['en'].join(wishes)}" if wishes else ""
        first = f", {', then '.join(order)}" if order else ""
        return f"{when}: {who}{wish}{first}" + (f", {together} asked together" if together > 1 else "")
    when = f"{step['after_s']:g}秒后" if step["after_s"] else "立即"
    who = f"具备{_AND['zh-CN'].join(needs)}的坐席" if needs else "队列内的所有坐席"
    wish = f"，优先{_AND['zh-CN'].join(wishes)}" if wishes else ""
    first = f"，{'，其次'.join(order)}" if order else ""
    return f"{when}：{who}{wish}{first}" + (f"，同时询问{together}位" if together > 1 else "")


def _need(need: Mapping[str, Any], lang: str, skills: Names) -> str:
    return f"{_name(need['skill'], lang, skills)} ≥ {need.get('level', 1)}"


def _criterion(criterion: str | Mapping[str, str], lang: str, skills: Names) -> str:
    if isinstance(criterion, str):
        return _ORDERED[criterion][lang]
    name = _name(criterion["skill"], lang, skills)
    return f"highest level in {name} first" if lang == "en" else f"{name}等级高者优先"


def _name(key: str, lang: str, names: Names) -> str:
    return f"“{in_language(names[key], lang) if key in names else key}”"


def condition(node: Mapping[str, Any], lang: str, queues: Names, *, is_inner: bool = False) -> str:
    """A checked condition as part of a sentence."""
    if "not" in node:
        inner = node["not"]
        if inner.get("op") == "exists":
            unknown = {"en": "{field} is not known", "zh-CN": "{field}未知"}
            return unknown[lang].format(field=FIELD_NAMES[inner["field"]][lang])
        return _NOT[lang].format(inner=condition(inner, lang, queues, is_inner=True))
    if "all" in node or "any" in node:
        children = node.get("all") or node["any"]
        if len(children) == 1:
            return condition(children[0], lang, queues, is_inner=is_inner)
        joined = (_AND if "all" in node else _OR)[lang].join(
            condition(child, lang, queues, is_inner=True) for child in children
        )
        return _GROUPED[lang].format(inner=joined) if is_inner else joined
    return _leaf(node, lang, queues)


def _leaf(leaf: Mapping[str, Any], lang: str, queues: Names) -> str:
    name, op = leaf["field"], leaf["op"]
    if name == "ticket.is_new" and op in ("==", "!=") and "value" in leaf:
        return _IS_NEW[leaf["value"] is (op == "==")][lang]
    field = FIELD_NAMES[name][lang]
    if "other" in leaf:
        return _COMPARED[op][lang].format(field=field, value=FIELD_NAMES[leaf["other"]][lang])
    value = leaf.get("value")
    values = [_value(name, each, lang, queues) for each in (value if isinstance(value, list) else [value])]
    low, high = values[0], values[-1]
    listed = _LISTED[lang].join(values[:-1]) + (_OR[lang] if len(values) > 1 else "") + values[-1]
    together = _LISTED[lang].join(values)
    return _COMPARED[op][lang].format(field=field, value=values[0], low=low, high=high, list=listed, all=together)


def _value(field: str, value: Any, lang: str, queues: Names) -> str:
    if field == "time.weekday" and isinstance(value, int) and 1 <= value <= len(_DAYS[lang]):
        return _DAYS[lang][value - 1]
    if field in ("call.queue", "ticket.queue") and isinstance(value, str):
        return _name(value, lang, queues)
    if isinstance(value, bool):
        return {"en": "yes" if value else "no", "zh-CN": "是" if value else "否"}[lang]
    if FIELDS[field] is Kind.CLOCK or not isinstance(value, str):
        return f"{value}" if isinstance(value, str) else f"{value:g}" if value is not None else ""
    return f"“{value}”"
