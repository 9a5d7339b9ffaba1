"""Why this agent, why still waiting: sentences for people, from the verdicts of a decision. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from core.texts import in_language
from routing.decide import current_step
from routing.model import STICKY, AgentVerdict, By, ByHand, Step, Verdict, WaitingItem

Sentence = dict[str, str]
MORE: Final = "more"
"""Beside the verdicts of a decision's counts: there were more agents with room than were looked at."""

REASONS: Final[dict[str, Sentence]] = {
    Verdict.ELIGIBLE: {"en": "free and able", "zh-CN": "空闲且符合条件"},
    Verdict.CHOSEN: {"en": "chosen", "zh-CN": "被选中"},
    Verdict.NOT_IN_QUEUE: {"en": "does not serve this queue", "zh-CN": "不服务于该队列"},
    Verdict.OFFLINE: {"en": "offline", "zh-CN": "离线"},
    Verdict.ON_BREAK: {"en": "on break", "zh-CN": "休息中"},
    Verdict.NOT_RESPONDING: {"en": "missed an offer and has not returned", "zh-CN": "错过来电后尚未恢复"},
    Verdict.DISCONNECTED: {"en": "desk not connected", "zh-CN": "工作台未连接"},
    Verdict.SKILL_MISSING: {"en": "lacks a required skill", "zh-CN": "缺少所需技能"},
    Verdict.IN_CALL: {"en": "in a call", "zh-CN": "通话中"},
    Verdict.WRAPPING: {"en": "wrapping up", "zh-CN": "话后处理中"},
    Verdict.OFFERED: {"en": "being offered another call", "zh-CN": "正在响应其他来电"},
    Verdict.FULL: {"en": "at capacity", "zh-CN": "已达上限"},
    Verdict.CROWDED: {"en": "full with tickets", "zh-CN": "手头工单已满"},
    Verdict.DRAINING: {"en": "kept free for a waiting call", "zh-CN": "正为等待的来电预留"},
    Verdict.COOLING_DOWN: {"en": "in a short pause after the last call", "zh-CN": "短暂缓冲中"},
    Verdict.LIMITED: {"en": "has had as many calls as the agent's limit allows", "zh-CN": "已达到该坐席的接听上限"},
    Verdict.DELAYED: {"en": "leaves it to others for a while", "zh-CN": "暂时让给其他坐席"},
    Verdict.EXCLUDED: {"en": "declined this call, or gave it away, a moment ago", "zh-CN": "刚刚拒接或转出了此来电"},
    Verdict.KEPT: {"en": "it is kept for another agent for a while", "zh-CN": "暂时为其他坐席保留"},
    Verdict.ELSEWHERE: {"en": "comes to another queue first", "zh-CN": "优先处理其他队列"},
    Verdict.TAKEN: {"en": "got another call in the same moment", "zh-CN": "同时被分配了其他来电"},
}


_CHOSEN_BY: Final[dict[str, Sentence]] = {
    By.LONGEST_IDLE: {"en": "idle longest", "zh-CN": "空闲最久"},
    By.ROUND_ROBIN: {"en": "next in turn", "zh-CN": "轮到该坐席"},
    By.WEIGHTED: {"en": "next in turn by weight", "zh-CN": "按权重轮到该坐席"},
    By.LEAST_LOADED: {"en": "fewest tickets at hand", "zh-CN": "手头工单最少"},
    By.BEST_SKILL: {"en": "highest skill levels", "zh-CN": "技能等级最高"},
    By.PRESERVE_SPECIALISTS: {"en": "whose other skills are the least rare", "zh-CN": "其他技能最不稀缺"},
    STICKY: {"en": "the agent it was kept for", "zh-CN": "为该坐席保留"},
    By.PREFER: {"en": "has most of what is preferred", "zh-CN": "最符合优先条件"},
}


def _chosen_by(by: str) -> Sentence:
    name, _, skill = by.partition(":")
    if name == By.SKILL:
        return {"en": f"highest level in {skill}", "zh-CN": f"{skill}等级最高"}
    return _CHOSEN_BY.get(name, _CHOSEN_BY[By.LONGEST_IDLE])


def _by_hand(by: str, to: str | None = None) -> tuple[str, Sentence] | None:
    """Which act it was, and the sentence for whom it was offered to, or about them; None when a criterion decided."""
    act, _, name = by.partition(":")
    aim_en, aim_zh = ("", "") if to is None else (f" to {to}", f"给{to}")
    if act == ByHand.PUSH:
        return act, {"en": f"Pushed by {name}{aim_en}.", "zh-CN": f"由{name}指派{aim_zh}。"}
    if act == ByHand.TRANSFER:
        return act, {"en": f"Transferred by {name}{aim_en}.", "zh-CN": f"由{name}转接{aim_zh}。"}
    if act == ByHand.CONSULT:
        return act, {
            "en": f"{name} wants to speak{aim_en} about a call.",
            "zh-CN": f"{name}想就一通电话{'与您' if to is None else '与' + to}商议。",
        }
    if act == ByHand.PBX:
        return act, {
            "en": f"The telephone system {name} rings {to or 'you'}.",
            "zh-CN": f"电话系统{name}正在呼叫{to or '您'}。",
        }
    if act == ByHand.PICK:
        return act, {"en": f"Taken from the line by {name}.", "zh-CN": f"{name}主动从队列接起。"}
    return None


def why_agent(rule: str, step: int, by: str, counts: Mapping[str, int]) -> Sentence:
    """One sentence for the pop: by which rule and step, by what criterion, and against how many others.

    Who got another call in the same pass is not counted: that agent may have come first."""
    if (hand := _by_hand(by)) is not None:
        return hand[1]
    asked = max(1, counts.get(Verdict.CHOSEN, 0))
    free = asked + counts.get(Verdict.ELIGIBLE, 0)
    has_more = counts.get(MORE, 0) > 0
    least_en, least_zh = ("at least ", "至少") if has_more else ("", "")
    first = _chosen_by(by)
    if by == STICKY:
        en, zh = "kept for this agent, who is free now.", "为该坐席保留，现已空闲。"
    elif asked > 1:
        en = f"one of {asked} asked together, out of {least_en}{free} free and able agents."
        zh = f"{least_zh}{free}位空闲且符合条件的坐席中同时询问的{asked}位之一。"
    elif free > 1:
        en = f"{first['en']} of {least_en}{free} free and able agents."
        zh = f"{least_zh}{free}位空闲且符合条件的坐席中{first['zh-CN']}。"
    elif has_more:
        en = f"{first['en']} of all free and able agents."
        zh = f"所有空闲且符合条件的坐席中{first['zh-CN']}。"
    else:
        en = "the only free and able agent."
        zh = "唯一空闲且符合条件的坐席。"
    if (others := counts.get(Verdict.ELSEWHERE, 0)) > 0:
        en += f" {others} more {'comes' if others == 1 else 'come'} to another queue first."
        zh += f"另有{others}位优先处理其他队列。"
    return {"en": f"Rule “{rule}”, step {step + 1}: {en}", "zh-CN": f"规则“{rule}”，第{step + 1}步：{zh}"}


def _needs(step: Step) -> Sentence:
    if not step.require:
        return {"en": "nothing in particular", "zh-CN": "无特殊要求"}
    parts = [f"{need.skill} ≥ {need.level}" for need in step.require]
    return {"en": " and ".join(parts), "zh-CN": "、".join(parts)}


_NOTHING: Final[Mapping[str, int]] = MappingProxyType({})


def why_waiting(
    item: WaitingItem,
    verdicts: Iterable[AgentVerdict],
    now: datetime,
    *,
    ahead: int,
    said_by_hand: Mapping[str, int] = _NOTHING,
) -> list[Sentence]:
    """Why nobody has it yet: who could serve it and what each of them is doing, and when the next step opens.

    `said_by_hand`: tier and boost_s, as far as a person has said them."""
    found = list(verdicts)
    index = current_step(item, now)
    step = item.steps[index]
    needs = _needs(step)
    sentences: list[Sentence] = []
    able = [v for v in found if v.verdict not in (Verdict.NOT_IN_QUEUE, Verdict.SKILL_MISSING)]
    counts = Counter(v.verdict for v in able)
    if not able:
        sentences.append(
            {
                "en": f"No agent of queue {item.queue} has what step {index + 1} requires ({needs['en']}).",
                "zh-CN": f"队列{item.queue}中没有坐席满足第{index + 1}步的要求（{needs['zh-CN']}）。",
            }
        )
    else:
        order = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0].value))
        en = ", ".join(f"{n} {REASONS[v]['en']}" for v, n in order)
        zh = "，".join(f"{n}位{REASONS[v]['zh-CN']}" for v, n in order)
        noun = "agent fits" if len(able) == 1 else "agents fit"
        sentences.append(
            {
                "en": f"{len(able)} {noun} step {index + 1} ({needs['en']}): {en}.",
                "zh-CN": f"{len(able)}位坐席符合第{index + 1}步（{needs['zh-CN']}）：{zh}。",
            }
        )
    if delays := [int(v.detail or 0) for v in able if v.verdict is Verdict.DELAYED]:
        left_s = max(0, round(min(delays) - (now - item.entered_at).total_seconds()))
        sentences.append(
            {
                "en": f"It is left to others until it has waited {min(delays)} s, which is in {left_s} s.",
                "zh-CN": f"等待满{min(delays)}秒之前让给其他坐席，还剩{left_s}秒。",
            }
        )
    if "tier" in said_by_hand:
        tier = said_by_hand["tier"]
        sentences.append(
            {
                "en": f"A supervisor gave it rank {tier}: no step changes that.",
                "zh-CN": f"主管已将其优先级设为{tier}，步骤不再改变。",
            }
        )
    if "boost_s" in said_by_hand:
        boost_s = said_by_hand["boost_s"]
        sentences.append(
            {
                "en": f"A supervisor put it {boost_s} s ahead: no step changes that.",
                "zh-CN": f"主管已将其提前{boost_s}秒，步骤不再改变。",
            }
        )
    if ahead:
        sentences.append(
            {
                "en": f"{ahead} waiting {'item is' if ahead == 1 else 'items are'} ahead in the line.",
                "zh-CN": f"前面还有{ahead}位在等待。",
            }
        )
    if index + 1 < len(item.steps):
        following = item.steps[index + 1]
        wait_s = max(0, round(following.after_s - (now - item.entered_at).total_seconds()))
        after, rank = _needs(following), _rank(step, following, said_by_hand)
        sentences.append(
            {
                "en": f"Step {index + 2} opens in {wait_s} s and requires {after['en']}{rank['en']}.",
                "zh-CN": f"第{index + 2}步将在{wait_s}秒后开始，要求：{after['zh-CN']}{rank['zh-CN']}。",
            }
        )
    return sentences


def _rank(step: Step, following: Step, said_by_hand: Mapping[str, int]) -> Sentence:
    """What the next step does to the place in line."""
    english, chinese = [], []
    if following.tier != step.tier and "tier" not in said_by_hand:
        english.append(f"rank {following.tier}")
        chinese.append(f"优先级{following.tier}")
    if following.boost_s != step.boost_s and "boost_s" not in said_by_hand:
        english.append(f"{following.boost_s} s ahead" if following.boost_s else "no head start")
        chinese.append(f"提前{following.boost_s}秒" if following.boost_s else "不再提前")
    if not english:
        return {"en": "", "zh-CN": ""}
    return {"en": f"; from then on {', '.join(english)}", "zh-CN": f"；届时{'、'.join(chinese)}"}


def kept(name: str, until: datetime, now: datetime) -> Sentence:
    """For the agent whom the rule names; whoever else is free is not asked meanwhile."""
    left_s = max(0, round((until - now).total_seconds()))
    return {
        "en": f"Kept for {name} for another {left_s} s: nobody else is asked until then.",
        "zh-CN": f"为{name}保留，还剩{left_s}秒：在此之前不会分配给其他坐席。",
    }


_NOT_WAITED_FOR: Final[dict[str, Sentence]] = {
    "leaving": {"en": "has chosen to go when the work in hand is done", "zh-CN": "已选择在当前工作结束后离开"},
    "limited": REASONS[Verdict.LIMITED],
    "busy": {"en": "at work, and not expected to be done in time", "zh-CN": "正忙，预计无法及时结束"},
}


def not_kept(name: str, verdict: str, why: str | None) -> Sentence:
    """The rule names an agent who is not waited for at this moment. `why`: where it is not the verdict."""
    reason = REASONS[verdict] if why is None else _NOT_WAITED_FOR[why]
    return {"en": f"Not kept for {name}: {reason['en']}.", "zh-CN": f"不为{name}保留：{reason['zh-CN']}。"}


_OVERFLOWED: Final[dict[str, Sentence]] = {
    "full": {"en": "it was full", "zh-CN": "队列已满"},
    "too_long": {"en": "the caller had waited there for too long", "zh-CN": "等待时间过长"},
    "nobody": {"en": "nobody who serves it was signed in", "zh-CN": "没有坐席签入"},
    "refused": {"en": "the telephony provider's waiting line took nobody", "zh-CN": "运营商的等待队列拒绝接入"},
    "voicemail": {"en": "the caller asked for it by a key", "zh-CN": "来电者按键选择"},
}


def overflowed(
    queue: Sentence, reason: str, waited_s: float, to: Sentence | None, *, to_recorder: bool = False
) -> Sentence:
    """A queue let go of the item: why, and where it went."""
    why, after = _OVERFLOWED[reason], f"{waited_s:.0f}"
    if to is not None:
        en_to, zh_to = f"went on to {in_language(to, 'en')}", f"转入队列{in_language(to, 'zh-CN')}"
    elif to_recorder:
        en_to, zh_to = "the caller was asked for a message", "已请来电者留言"
    else:
        en_to, zh_to = "the caller was told that we call back", "已告知来电者将回电"
    return {
        "en": f"Left the queue {in_language(queue, 'en')} after {after} s, because {why['en']}; {en_to}.",
        "zh-CN": f"在队列{in_language(queue, 'zh-CN')}等待{after}秒后离开，因为{why['zh-CN']}；{zh_to}。",
    }


def hung_up(waited_s: float, *, was_offered: bool) -> Sentence:
    """The caller did not wait any longer."""
    if was_offered:
        return {"en": f"The caller hung up after {waited_s:.0f} s.", "zh-CN": f"来电者等待{waited_s:.0f}秒后挂断。"}
    return {
        "en": f"The caller hung up after {waited_s:.0f} s, before anybody was asked.",
        "zh-CN": f"来电者等待{waited_s:.0f}秒后挂断，期间未分配给任何坐席。",
    }


HELD: Final = "held"
"""Why an agent may not pick, beside the verdicts."""
_REASON_HELD: Final = {"en": "a supervisor holds this queue", "zh-CN": "主管已暂停该队列"}


def cannot_take(name: str, verdict: str) -> Sentence:
    """Why this agent does not get the item by hand either."""
    why = _REASON_HELD if verdict == HELD else REASONS[verdict]
    return {"en": f"{name} cannot take it: {why['en']}.", "zh-CN": f"{name}无法接听：{why['zh-CN']}。"}


def held(queue: Sentence, by: str) -> Sentence:
    """Nobody is asked, whoever is free."""
    english = in_language(queue, "en")
    return {
        "en": f"{by} holds the queue {english}: nobody is asked until it is released.",
        "zh-CN": f"{by}已暂停队列{in_language(queue, 'zh-CN')}：恢复前不会分配给任何人。",
    }


PLACED_ELSEWHERE: Final = {
    "en": "Its telephone system decides whom it rings, and when.",
    "zh-CN": "由电话系统决定何时呼叫谁。",
}
_ACCEPTED: Final = {"en": "accepted", "zh-CN": "已接听"}
_GIVEN_BACK: Final = {"en": "talked, and gave it back", "zh-CN": "通话后退回"}
_ENDED: Final[dict[str, Sentence]] = {
    "pending": {"en": "has not answered yet", "zh-CN": "尚未响应"},
    "accepted": _ACCEPTED,
    "wrapping": _ACCEPTED,
    "completed": _ACCEPTED,
    "rejected": {"en": "declined", "zh-CN": "拒接"},
    "timeout": {"en": "did not answer in time", "zh-CN": "超时未接"},
    "rescinded": {"en": "left before answering", "zh-CN": "在响应前离开"},
    "rescinded:undone": {"en": "was asked until it was taken back", "zh-CN": "指派已被撤回"},
    "rescinded:taken": {"en": "was too late: somebody else took it", "zh-CN": "来电已被他人接听"},
    "canceled": {"en": "was not connected before the caller left", "zh-CN": "接通前来电者已挂断"},
    "canceled:consult_over": {"en": "was consulted, or asked, until that was over", "zh-CN": "参与商议直至结束"},
    "canceled:connect_failed": {"en": "accepted but could not be connected", "zh-CN": "已接听但未能接通"},
    "canceled:undone": {"en": "gave it back before talking", "zh-CN": "在通话前退回"},
    "wrapping:undone": _GIVEN_BACK,
    "completed:undone": _GIVEN_BACK,
}
_OFFERED: Final = {"en": "was offered it", "zh-CN": "收到来电"}


def decision_sentence(row: Mapping[str, Any]) -> Sentence:
    """One recorded decision: who was offered the item, by which rule, and how that ended."""
    name = row["chosen_name"] or "—"
    state = row["offer_state"] or ""
    ended = _ENDED.get(f"{state}:{row['offer_reason']}") or _ENDED.get(state, _OFFERED)
    if (hand := _by_hand(row["chosen_by"], name)) is not None:
        although = _although(row)
        act, what = hand
        if act == ByHand.PICK and ended in (_ACCEPTED, _ENDED["pending"]):
            return {"en": f"{what['en']}{although['en']}", "zh-CN": f"{what['zh-CN']}{although['zh-CN']}"}
        return {
            "en": f"{what['en']}{although['en']} {name} {ended['en']}.",
            "zh-CN": f"{what['zh-CN']}{although['zh-CN']}{name}{ended['zh-CN']}。",
        }
    why = why_agent(row["rule"], row["step"], row["chosen_by"], row["counts"])
    if row.get("is_assigned"):  # a ticket
        return {"en": f"Assigned to {name}. {why['en']}", "zh-CN": f"已分配给{name}。{why['zh-CN']}"}
    return {
        "en": f"Offered to {name}, who {ended['en']}. {why['en']}",
        "zh-CN": f"分配给{name}，{ended['zh-CN']}。{why['zh-CN']}",
    }


def _although(row: Mapping[str, Any]) -> Sentence:
    """What a person has overruled, from the verdict that is kept beside the chosen one."""
    details = [v.get("detail") for v in row["verdicts"] if v["agent_id"] == row["chosen_agent_id"]]
    verdict = details[0] if details else None
    if verdict not in REASONS:
        return {"en": "", "zh-CN": ""}
    return {"en": f" At that time: {REASONS[verdict]['en']}.", "zh-CN": f"当时：{REASONS[verdict]['zh-CN']}。"}
