"""A desk as a function of its events, as `web/src/live/reduce.ts` has it: what both languages are held to."""

from collections.abc import Callable
from typing import Any

Data = dict[str, Any]
ENDED = {"resolved", "closed", "merged"}


def place(desk: Data, event: Data) -> str:
    if event["type"] == "snapshot" or event["seq"] is None:
        return "apply"
    if event["seq"] <= desk["seq"]:
        return "drop"
    return "apply" if event["seq"] == desk["seq"] + 1 else "gap"


def reduce(desk: Data, event: Data) -> Data:
    assert place(desk, event) != "gap", f"seq {event['seq']} after {desk['seq']}"
    if place(desk, event) == "drop":
        return desk
    after = _APPLY[event["type"]](desk, event["data"])
    return after if event["seq"] is None else {**after, "seq": event["seq"]}


def _snapshot(_: Data, snapshot: Data) -> Data:
    return snapshot


def _pop(desk: Data, pop: Data) -> Data:
    for call in desk["calls"]:
        if call["pop"]["offer_id"] == pop["offer_id"]:
            if pop["version"] < call["pop"]["version"]:
                return desk
            newer = {**call, "pop": _keep_newer_ticket(call["pop"], pop)}
            return {**desk, "calls": [newer if other is call else other for other in desk["calls"]]}
    for known in desk["offers"]:
        if known["offer_id"] == pop["offer_id"]:
            if pop["version"] < known["version"]:
                return desk
            newer = _keep_newer_ticket(known, pop)
            return {**desk, "offers": [newer if offer is known else offer for offer in desk["offers"]]}
    return {**desk, "offers": [*desk["offers"], pop]}


def _offer_ended(desk: Data, ended: Data) -> Data:
    return {**desk, "offers": [offer for offer in desk["offers"] if offer["offer_id"] != ended["offer_id"]]}


def _call(desk: Data, call: Data) -> Data:
    if call["state"] == "closed":
        return {**desk, "calls": [other for other in desk["calls"] if other["pop"]["call"]["id"] != call["call_id"]]}
    rest = _offer_ended(desk, call["pop"])
    for known in desk["calls"]:
        if known["pop"]["call"]["id"] == call["pop"]["call"]["id"]:
            if call["version"] < known["version"]:
                return rest
            newer = {**call, "pop": _keep_newer_ticket(known["pop"], call["pop"])}
            return {**rest, "calls": [newer if other is known else other for other in desk["calls"]]}
    return {**rest, "calls": [*desk["calls"], call]}


def _keep_newer_ticket(known: Data, fresh: Data) -> Data:
    if known["ticket"]["id"] != fresh["ticket"]["id"] or known["ticket"]["version"] <= fresh["ticket"]["version"]:
        return fresh
    return {**fresh, "ticket": {**fresh["ticket"], **known["ticket"]}}


def _presence(desk: Data, changed: Data) -> Data:
    if desk["presence"] is not None and changed["version"] < desk["presence"]["version"]:
        return desk
    kept = ("state", "reason", "since", "work", "next", "next_reason", "telephone", "version")
    return {**desk, "presence": {name: changed.get(name) for name in kept}}


def _ticket(desk: Data, ticket: Data) -> Data:
    calls = [{**call, "pop": _with_ticket(call["pop"], ticket)} for call in desk["calls"]]
    offers = [_with_ticket(offer, ticket) for offer in desk["offers"]]
    return {**desk, "tickets": _mine(desk, ticket), "offers": offers, "calls": calls}


def _mine(desk: Data, ticket: Data) -> list[Data]:
    tickets: list[Data] = desk["tickets"]
    known = next((other for other in tickets if other["id"] == ticket["id"]), None)
    if known is not None and ticket["version"] < known["version"]:
        return tickets
    is_mine = (ticket["assignee"] or {}).get("id") == desk["me"]["id"] and ticket["state"] not in ENDED
    if not is_mine:
        return [other for other in tickets if other is not known]
    return [ticket if other is known else other for other in tickets] if known is not None else [ticket, *tickets]


def _with_ticket(pop: Data, ticket: Data) -> Data:
    if pop["ticket"]["id"] == ticket["id"] and pop["ticket"]["version"] <= ticket["version"]:
        pop = {**pop, "ticket": {**pop["ticket"], **ticket}}
    others = [
        ticket if other["id"] == ticket["id"] and other["version"] <= ticket["version"] else other
        for other in pop["other_tickets"]
    ]
    return {**pop, "other_tickets": others, "customer": _with_open_ticket(pop["customer"], ticket)}


def _with_open_ticket(customer: Data, ticket: Data) -> Data:
    profile = customer["profile"]
    tickets = [] if profile is None else profile["open_tickets"]
    if not any(other["id"] == ticket["id"] and other["version"] <= ticket["version"] for other in tickets):
        return customer
    told = [{**other, **ticket} if other["id"] == ticket["id"] else other for other in tickets]
    return {**customer, "profile": {**profile, "open_tickets": [one for one in told if one["state"] not in ENDED]}}


def _queues(desk: Data, stats: Data) -> Data:
    fresh = {queue["key"]: queue for queue in stats["queues"]}
    kept = [fresh.get(queue["key"], queue) for queue in desk["queues"]]
    known = {queue["key"] for queue in desk["queues"]}
    return {**desk, "queues": [*kept, *(queue for key, queue in fresh.items() if key not in known)]}


_APPLY: dict[str, Callable[[Data, Data], Data]] = {
    "snapshot": _snapshot,
    "screen_pop": _pop,
    "offer_ended": _offer_ended,
    "call_changed": _call,
    "presence_changed": _presence,
    "ticket_changed": _ticket,
    "queue_stats": _queues,
    "noop": lambda desk, _: desk,
}


def comparable(desk: Data) -> Data:
    """Without what no event carries: the clock, figures that age, and the customer's page as it was when it was read.

    Of presence, `work` follows from offers and calls (the page derives it); versions also count what a desk does not show."""

    def pop(value: Data) -> Data:
        customer = {**value["customer"], "profile": None}
        return {**value, "customer": customer, "ticket": {**value["ticket"], "last_note": None}}

    presence = desk["presence"] and {
        name: desk["presence"][name] for name in ("state", "reason", "since", "next", "next_reason", "telephone")
    }
    queues = [{**queue, "longest_wait_s": None} for queue in desk["queues"]]
    return {
        **desk,
        "server_time": None,
        "presence": presence,
        "queues": queues,
        "offers": [pop(offer) for offer in desk["offers"]],
        "calls": [{**call, "pop": pop(call["pop"]), "version": None} for call in desk["calls"]],
    }


def differences(one: Any, other: Any, place: str = "") -> list[str]:
    """Where two desks differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [d for key in one | other for d in differences(one.get(key), other.get(key), f"{place}.{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [d for i, (a, b) in enumerate(zip(one, other, strict=True)) for d in differences(a, b, f"{place}[{i}]")]
    return [] if one == other else [f"{place}: {one!r} is not {other!r}"]
