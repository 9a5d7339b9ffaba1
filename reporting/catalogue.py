"""Every metric there is: what it is called, its formula in words, and which sums it is made of.

A metric is a numerator over a denominator, both sums of measures (`reporting/measures.py`), so a total is Σ numerators ÷ Σ denominators
and never a mean. An empty denominator is no value, neither 0 nor 100. Whoever changes what a metric means raises its `version`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from core.texts import Text
from reporting.measures import (
    LONGEST_NOW,
    NOW_OF_STATES,
    NOW_OF_STINTS,
    OF_OFFERS,
    OF_SEGMENTS,
    OF_STATES,
    OF_STINTS,
    PEAK,
    STATES,
)
from reporting.model import Sums


class Unit(StrEnum):
    COUNT = "count"
    SECONDS = "seconds"
    PERCENT = "percent"


class Group(StrEnum):
    NONE = "none"
    QUEUE = "queue"
    AGENT = "agent"


class Kind(StrEnum):
    """How a value comes from the sums: added up, divided, the greatest, or by rank."""

    SUM = "sum"
    RATIO = "ratio"
    PEAK = "peak"
    RANK = "rank"


@dataclass(frozen=True, slots=True)
class Metric:
    """`edges`: what is counted at the edges, in words. `rank` in percent, for Kind.RANK."""

    key: str
    unit: Unit
    kind: Kind
    numerator: tuple[str, ...]
    denominator: tuple[str, ...]
    name: Text
    formula: Text
    edges: Text
    version: int = 1
    rank: int = 0

    @property
    def is_of_now(self) -> bool:
        """Of this moment only: it has no history."""
        return self.numerator[0] in NOW

    @property
    def groups(self) -> frozenset[Group]:
        """Stays have a queue, states of agents have none, offers and conversations have both."""
        measures = {*self.numerator, *self.denominator}
        if measures <= {*OF_STINTS, PEAK, *NOW_OF_STINTS, LONGEST_NOW}:
            return frozenset({Group.NONE, Group.QUEUE})
        if measures <= {*OF_STATES}:
            return frozenset({Group.NONE, Group.AGENT})
        if measures <= {*NOW_OF_STATES}:
            return frozenset({Group.NONE})
        return frozenset(Group)

    @property
    def has_contacts(self) -> bool:
        """Whether single contacts stand behind it, and not stretches of time or a moment."""
        return {*self.numerator, *self.denominator} <= {*OF_STINTS, PEAK, *OF_OFFERS, *OF_SEGMENTS}


NOW: Final = frozenset({*NOW_OF_STINTS, *NOW_OF_STATES, LONGEST_NOW})


@dataclass(frozen=True, slots=True)
class Value:
    """`value` in the metric's unit, percentages with one decimal, None where there is nothing to say. Seconds also in the parts."""

    value: float | None
    numerator: float | None
    denominator: float | None


def value_of(metric: Metric, sums: Sums, *, is_now: bool = False) -> Value:
    """`is_now`: the sums hold this moment. Without it metrics of the moment have no value."""
    if metric.is_of_now and not is_now:
        return Value(None, None, None)
    if metric.kind is Kind.PEAK:
        peak = sums.peaks.get(metric.numerator[0])
        return Value(None if peak is None else _shown(metric.unit, peak), None, None)
    if metric.kind is Kind.RANK:
        answered = sum(sums.waits.values())
        return Value(nearest_rank(sums.waits, metric.rank), None, answered)
    numerator = sum(sums.added[name] for name in metric.numerator)
    if metric.kind is Kind.SUM:
        return Value(_shown(metric.unit, numerator), _shown(metric.unit, numerator), None)
    denominator = sum(sums.added[name] for name in metric.denominator)
    parts = (_part(metric.numerator, numerator), _part(metric.denominator, denominator))
    if denominator == 0:
        return Value(None, *parts)
    if metric.unit is Unit.PERCENT:
        return Value(round(100 * numerator / denominator, 1), *parts)
    return Value(_shown(metric.unit, numerator / denominator), *parts)


def nearest_rank(waits: Mapping[int, int], rank: int) -> int | None:
    """The smallest value that at least `rank` percent of all are not above."""
    wanted = -(-sum(waits.values()) * rank // 100)
    passed = 0
    for value in sorted(waits):
        passed += waits[value]
        if passed >= wanted and passed:
            return value
    return None


def _shown(unit: Unit, value: float) -> float:
    return round(value / 1_000_000, 3) if unit is Unit.SECONDS else value


def _part(measures: tuple[str, ...], value: int) -> float:
    return _shown(Unit.SECONDS if measures[0].endswith("_us") else Unit.COUNT, value)


# --- the metrics --------------------------------------------------------------------------------------------------------


def _text(en: str, zh: str) -> Text:
    return {"en": en, "zh-CN": zh}


OUTCOMES: Final = (
    "answered", "abandoned", "short", "callback", "transferred", "overflowed", "closed", "failed", "waiting",
)  # fmt: skip
"""Each stay is one of these, so they add up to `offered`."""
DECIDED: Final = ("answered", "abandoned")
UTILISED: Final = ("talking_us", "wrapping_us", "reserved_us", "available_us")
AT_ENTRY: Final = _text("Counts in the quarter of entry.", "计入进入队列的那一刻钟。")
ANSWERED_OF_STAYS: Final = _text(
    "Ringing and failed offers are part of the wait; time before the queue is not. Counts in the quarter of entry.",
    "等待包含振铃和失败的派单,不含进入队列之前的时间。计入进入队列的那一刻钟。",
)
WHOLE_SECONDS: Final = _text(
    "Nearest rank, rounded up to a whole second. Without an answered call: no value.",
    "最近秩法,向上取整到秒。没有已接来电时无值。",
)
LEVEL_EDGES: Final = _text(
    "T and S are those of the queue when the call came in; exactly T is within. Shown beside it, and counted nowhere: short abandons, callbacks, "
    "transferred, overflowed, closed, failed. Who still waits is undecided.",
    "T 和 S 取来电进入队列时的设置;恰好 T 秒算达标。短时放弃、回拨、转出、溢出、关闭、失败另行显示,不计入。仍在等待的尚未判定。",
)
VARIANT_EDGES: Final = _text(
    "A vendor's reading, for comparison. T and S are those of the queue when the call came in.",
    "某厂商的口径,供比较。T 和 S 取来电进入队列时的设置。",
)
OFFERED_EDGES: Final = _text(
    "A vendor's reading, for comparison. Who still waits is in the denominator.",
    "某厂商的口径,供比较。分母包含仍在等待的来电。",
)
AT_COMPLETION: Final = _text(
    "Counts whole in the quarter in which wrap-up ended. Connects that failed are left out. Holds are inside the talk.",
    "整体计入话后处理结束的那一刻钟。未接通的不计。保持时间包含在通话中。",
)
STATE_EDGES: Final = _text(
    "Wall clock, split exactly at the borders of quarters. A state lasts until the next one.",
    "按实际时钟计,在刻钟边界处精确切分。一个状态持续到下一个状态开始。",
)
NOW_EDGES: Final = _text("Of this moment; it has no history.", "仅为此刻的数值,没有历史。")


def _count(key: str, measures: tuple[str, ...], name: Text, formula: Text, edges: Text) -> Metric:
    return Metric(key, Unit.COUNT, Kind.SUM, measures, (), name, formula, edges)


def _percent(
    key: str, numerator: tuple[str, ...], denominator: tuple[str, ...], name: Text, formula: Text, edges: Text
) -> Metric:
    return Metric(key, Unit.PERCENT, Kind.RATIO, numerator, denominator, name, formula, edges)


def _mean(
    key: str, numerator: tuple[str, ...], denominator: tuple[str, ...], name: Text, formula: Text, edges: Text
) -> Metric:
    return Metric(key, Unit.SECONDS, Kind.RATIO, numerator, denominator, name, formula, edges)


def _time(key: str, measures: tuple[str, ...], name: Text, formula: Text, edges: Text) -> Metric:
    return Metric(key, Unit.SECONDS, Kind.SUM, measures, (), name, formula, edges)


def _rank(rank: int) -> Metric:
    name = _text(f"Wait of answered, p{rank}", f"已接等待时间 p{rank}")
    formula = _text(
        f"the wait that {rank} % of answered calls do not exceed", f"{rank}% 的已接来电的等待时间不超过此值"
    )
    answered = ("answered",)
    return Metric(f"asa_p{rank}", Unit.SECONDS, Kind.RANK, answered, answered, name, formula, WHOLE_SECONDS, rank=rank)


STAYS: Final = (
    _count(
        "offered", ("offered",), _text("Offered", "进线量"), _text("stays in a queue that began in the interval", "时段内开始的排队次数"),
        _text("Outbound calls are none. A call that moves from one queue to another is one stay in each.", "不含外呼。来电换队列时,每个队列各计一次。"),
    ),
    _count("answered", ("answered",), _text("Answered", "接听量"), _text("stays that ended in a conversation", "以接通结束的排队次数"), AT_ENTRY),
    _count(
        "abandoned", ("abandoned",), _text("Abandoned", "放弃量"), _text("callers who hung up after S or later", "等待达到 S 秒或更久后挂断的来电"),
        _text("Exactly S is not short. Counts in the quarter of entry.", "恰好 S 秒不算短时。计入进入队列的那一刻钟。"),
    ),
    _count(
        "short_abandoned", ("short",), _text("Short abandons", "短时放弃量"), _text("callers who hung up before S", "等待不足 S 秒就挂断的来电"),
        _text("S is the queue's setting when the call came in. Exactly S is not short.", "S 取来电进入队列时的设置。恰好 S 秒不算短时。"),
    ),
    _count(
        "transferred", ("transferred",), _text("Transferred out", "转出"), _text("stays that ended in another queue, sent there by new rules", "由新规则转到其他队列的排队次数"),
        AT_ENTRY,
    ),
    _count(
        "overflowed", ("overflowed",), _text("Overflowed", "溢出"),
        _text("stays that the queue let go of: to another queue, or to a ticket and a word of thanks", "队列放走的来电:转到其他队列,或留下工单并致歉"), AT_ENTRY,
    ),
    _count(
        "closed", ("closed",), _text("Closed", "关闭"), _text("stays that ended with their call after a conversation had been held before", "此前已接通、随通话一起结束的排队次数"),
        AT_ENTRY,
    ),
    _count("failed", ("failed",), _text("Failed", "失败"), _text("stays that ended because the call broke", "因呼叫故障而结束的排队次数"), AT_ENTRY),
    _count(
        "undecided", ("waiting",), _text("Still waiting", "仍在等待"), _text("stays of the interval that have no end yet", "时段内开始、尚未结束的排队次数"),
        _text("Becomes one of the others when it ends; the quarter is counted again then.", "结束后归入其他类别,该刻钟随之重算。"),
    ),
    _percent(
        "service_level", ("within",), DECIDED, _text("Service level", "服务水平"),
        _text("answered within T ÷ (answered + abandoned not short)", "T 秒内接听 ÷(接听 + 非短时放弃)"), LEVEL_EDGES,
    ),
    _percent(
        "service_level_answered", ("within",), ("answered",), _text("Service level of answered", "服务水平(仅已接)"),
        _text("answered within T ÷ answered", "T 秒内接听 ÷ 接听"), VARIANT_EDGES,
    ),
    _percent(
        "service_level_left", ("left_within",), ("offered",), _text("Service level, left the queue", "服务水平(离队)"),
        _text("left the queue within T by any means ÷ offered", "T 秒内以任何方式离队 ÷ 进线"), OFFERED_EDGES,
    ),
    _percent(
        "service_level_60", ("within_60",), tuple(name for name in OUTCOMES if name != "short"), _text("Service level, 60 s", "服务水平(60 秒)"),
        _text("answered within 60 s ÷ (offered − short abandons)", "60 秒内接听 ÷(进线 − 短时放弃)"), OFFERED_EDGES,
    ),
    _percent(
        "service_level_not_short", ("within",), tuple(name for name in OUTCOMES if name != "short"), _text("Service level without short", "服务水平(去短时)"),
        _text("answered within T ÷ (offered − short abandons)", "T 秒内接听 ÷(进线 − 短时放弃)"), OFFERED_EDGES,
    ),
    _percent(
        "service_level_offered", ("within",), ("offered",), _text("Service level of offered", "服务水平(全部进线)"),
        _text("answered within T ÷ offered", "T 秒内接听 ÷ 进线"), OFFERED_EDGES,
    ),
    _percent(
        "abandonment", ("abandoned",), DECIDED, _text("Abandonment", "放弃率"),
        _text("abandoned not short ÷ (answered + abandoned not short)", "非短时放弃 ÷(接听 + 非短时放弃)"),
        _text("Callbacks are never abandoned.", "请求回拨不算放弃。"),
    ),
    _percent(
        "abandonment_raw", ("abandoned", "short"), ("offered",), _text("Abandonment, raw", "放弃率(原始)"),
        _text("all abandoned ÷ offered", "全部放弃 ÷ 进线"), OFFERED_EDGES,
    ),
    _mean(
        "asa", ("wait_answered_us",), ("answered",), _text("Average speed of answer", "平均应答时间"),
        _text("mean wait of answered", "已接来电的平均等待时间"), ANSWERED_OF_STAYS,
    ),
    _rank(50),
    _rank(90),
    _mean(
        "abandon_time", ("wait_abandoned_us",), ("abandoned",), _text("Average abandon time", "平均放弃时间"),
        _text("mean wait of abandoned not short", "非短时放弃的平均等待时间"), AT_ENTRY,
    ),
    Metric(
        "max_wait", Unit.SECONDS, Kind.PEAK, (PEAK,), (), _text("Longest wait", "最长等待"),
        _text("the longest wait of those that have left, however they did", "已离队来电的最长等待时间,不论如何离队"), AT_ENTRY,
    ),
)  # fmt: skip
ANSWERS: Final = (
    _count("offers_accepted", ("offers_accepted",), _text("Offers accepted", "接受的派单"), _text("offers that an agent took", "坐席接受的派单"), _text("Counts in the quarter in which the offer was made.", "计入派单发出的那一刻钟。")),
    _count(
        "offers_missed", ("offers_declined", "offers_unanswered"), _text("Offers missed", "未接的派单"), _text("declined + no answer", "拒绝 + 无应答"),
        _text("One call can be missed several times.", "同一来电可能多次未接。"),
    ),
    _percent(
        "offer_answer_rate", ("offers_accepted",), ("offers_accepted", "offers_declined", "offers_unanswered"), _text("Offer answer rate", "派单应答率"),
        _text("accepted ÷ (accepted + declined + no answer)", "接受 ÷(接受 + 拒绝 + 无应答)"),
        _text(
            "What the caller or the system took back is left out. Counts in the quarter in which the offer was made.",
            "被来电者或系统撤回的不计。计入派单发出的那一刻钟。",
        ),
    ),
    _count("handled", ("segments",), _text("Handled", "处理量"), _text("conversations whose wrap-up has ended", "话后处理已结束的通话"), AT_COMPLETION),
    _time("talk_time", ("talk_us",), _text("Talk", "通话时长"), _text("Σ conversation", "通话时长之和"), AT_COMPLETION),
    _time("hold_time", ("hold_us",), _text("Hold", "保持时长"), _text("Σ customer on hold", "客户处于保持状态的时长之和"), AT_COMPLETION),
    _time("wrap_time", ("wrap_us",), _text("Wrap-up", "话后时长"), _text("Σ end of conversation to end of wrap-up", "通话结束到话后处理结束的时长之和"), AT_COMPLETION),
    _mean(
        "aht", ("talk_us", "wrap_us"), ("segments",), _text("Average handle time", "平均处理时长"),
        _text("Σ (talk + wrap-up) ÷ conversations", "(通话 + 话后)之和 ÷ 通话次数"), AT_COMPLETION,
    ),
    _mean(
        "aht_contact", ("talk_us", "wrap_us"), ("contacts",), _text("Handle time per contact", "每个联系的处理时长"),
        _text("Σ (talk + wrap-up) ÷ contacts", "(通话 + 话后)之和 ÷ 联系数"),
        _text(
            "A contact with several conversations counts once, with its first. By agent: with the agent of the first.",
            "一个联系有多次通话时只计一次,算在首次通话。按坐席分组时算在首次通话的坐席。",
        ),
    ),
)  # fmt: skip
TIMES: Final = (
    _percent(
        "occupancy", ("talking_us", "wrapping_us"), ("talking_us", "wrapping_us", "available_us"), _text("Occupancy", "占用率"),
        _text("(talking + wrapping) ÷ (talking + wrapping + available)", "(通话 + 话后)÷(通话 + 话后 + 可接)"),
        _text(
            "Wall clock, split exactly at the borders of quarters. Reserved, on a break and unreachable are in neither part. Holds are inside talking.",
            "按实际时钟计,在刻钟边界处精确切分。振铃、小休、失联不计入任何一方。保持时间包含在通话中。",
        ),
    ),
    _percent(
        "utilisation", UTILISED, OF_STATES, _text("Utilisation", "利用率"),
        _text("(talking + wrapping + reserved + available) ÷ logged in", "(通话 + 话后 + 振铃 + 可接)÷ 登录时长"),
        _text("Not occupancy. Logged in is every state but offline, unreachable included.", "不同于占用率。登录时长包含离线以外的所有状态,含失联。"),
    ),
    _time("logged_in_time", OF_STATES, _text("Logged in", "登录时长"), _text("Σ time in every state but offline", "离线以外所有状态的时长之和"), STATE_EDGES),
)  # fmt: skip
STATE_NAMES: Final = {
    "available": ("available", "可接"), "reserved": ("reserved", "振铃"), "talking": ("talking", "通话"), "wrapping": ("wrapping up", "话后"),
    "break": ("on a break", "小休"), "not_responding": ("not responding", "无响应"), "reconnecting": ("reconnecting", "重连中"), "unreachable": ("unreachable", "失联"),
}  # fmt: skip
STATE_TIMES: Final = tuple(
    _time(
        f"{state}_time", (f"{state}_us",), _text(f"Time {en}", f"{zh}时长"), _text(f"Σ time {en}", f"{zh}状态的时长之和"), STATE_EDGES
    )
    for state, (en, zh) in STATE_NAMES.items()
)  # fmt: skip
OF_NOW: Final = (
    _count("waiting_now", ("waiting_now",), _text("Waiting now", "当前等待"), _text("stays without an end", "尚未结束的排队次数"), NOW_EDGES),
    _count(
        "waiting_beyond_now", ("waiting_beyond_now",), _text("Waiting beyond T now", "当前超时等待"), _text("stays without an end that are longer than T", "等待已超过 T 秒的排队次数"),
        NOW_EDGES,
    ),
    Metric(
        "longest_wait_now", Unit.SECONDS, Kind.PEAK, (LONGEST_NOW,), (), _text("Longest wait now", "当前最长等待"),
        _text("now − the first entry of those that wait", "此刻 − 等待者中最早的进入时间"), _text("Nobody waits: no value.", "无人等待时无值。"),
    ),
    *(
        _count(f"agents_{state}_now", (f"agents_{state}_now",), _text(f"Agents {en} now", f"当前{zh}坐席"), _text(f"agents who are {en}", f"处于{zh}状态的坐席数"), NOW_EDGES)
        for state, (en, zh) in STATE_NAMES.items()
    ),
    _count(
        "agents_logged_in_now", NOW_OF_STATES, _text("Agents logged in now", "当前登录坐席"), _text("the sum of the agents in every state but offline", "离线以外各状态坐席数之和"),
        NOW_EDGES,
    ),
)  # fmt: skip
CATALOGUE: Final[Mapping[str, Metric]] = {
    metric.key: metric for metric in (*STAYS, *ANSWERS, *TIMES, *STATE_TIMES, *OF_NOW)
}
LEVELS: Final = tuple(key for key in CATALOGUE if key.startswith("service_level"))
assert tuple(STATE_NAMES) == STATES
