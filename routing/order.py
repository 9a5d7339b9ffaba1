"""Whom to ask first among those who may serve an item: criteria one after the other, the last of which always decides. Pure.

    longest_idle          who has been without work longest
    round_robin           whose turn was longest ago; a declined or missed offer was a turn
    weighted              in turn, but twice the weight has twice the turns
    least_loaded          fewest tickets at hand, then longest idle
    best_skill            highest sum of levels in what the step requires and prefers
    preserve_specialists  whose other skills are the least rare among those free now
    {skill: german}       highest level in this skill
    (prefer)              as many of the step's preferences as possible; comes first by itself

Criteria of skill look only at what agents of one profile share; only the first four tell those apart, so one of them comes last. Tickets are had
side by side, so for them it is `round_robin` or `least_loaded`, whatever the rule says. A dispatcher's pass needs no more than the first few of each profile, therefore (ADR 0008).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from math import inf

from routing.model import LAST, LAST_OF_TICKETS, AgentView, By, Channel, Criterion, SkillNeed, Step

Supply = Mapping[str, int]
"""How many free agents have a skill at all."""


def criteria_of(step: Step, pick: str, channel: Channel = Channel.VOICE) -> tuple[Criterion, ...]:
    """What decides in this step, of a queue with this `pick`."""
    found = [Criterion(By.PREFER)] if step.prefer else []
    found += step.order or [Criterion(By(pick))]
    if channel is Channel.TICKET:
        if found[-1].by in LAST - LAST_OF_TICKETS:
            found.pop()
        if not found or found[-1].by not in LAST_OF_TICKETS:
            found.append(Criterion(By.LEAST_LOADED))
    elif found[-1].by not in LAST:
        found.append(Criterion(By.LONGEST_IDLE))
    return tuple(found)


def supply_of(agents: Iterable[AgentView]) -> Supply:
    """For a pool of which every agent is at hand; the agents given are free."""
    return Counter(skill for agent in agents for skill, level in agent.skills.items() if level > 0)


Clock = float | datetime | tuple[int, datetime]
Rank = tuple[Clock, ...]


def rank(agent: AgentView, step: Step, criteria: Iterable[Criterion], supply: Supply) -> Rank:
    """Smaller is asked first. Ends with the id, so that no two agents are equal."""
    return (*(_place(agent, step, criterion, supply) for criterion in criteria), agent.id)


def profile_rank(skills: Mapping[str, int], step: Step, criterion: Criterion, supply: Supply) -> float:
    """The part of the rank that all agents with these skills share. `criterion` is none of LAST."""
    match criterion.by:
        case By.PREFER:
            return -sum(_has(skills, need) for need in step.prefer)
        case By.BEST_SKILL:
            return -sum(skills.get(skill, 0) for skill in {need.skill for need in (*step.require, *step.prefer)})
        case By.SKILL:
            return -skills.get(criterion.skill or "", 0)
        case _:
            used = {need.skill for need in step.require}
            others = [supply.get(skill, 0) for skill, level in skills.items() if level > 0 and skill not in used]
            return -min(others, default=inf)


def _has(skills: Mapping[str, int], need: SkillNeed) -> bool:
    return skills.get(need.skill, 0) >= need.level


def _place(agent: AgentView, step: Step, criterion: Criterion, supply: Supply) -> Clock:
    match criterion.by:
        case By.LONGEST_IDLE:
            return agent.idle_since
        case By.ROUND_ROBIN:
            return agent.last_offered_at
        case By.WEIGHTED:
            return agent.turn
        case By.LEAST_LOADED:
            return agent.tickets, agent.idle_since
        case _:
            return profile_rank(agent.skills, step, criterion, supply)


def deciding(chosen: Rank, next_best: Rank | None, criteria: tuple[Criterion, ...]) -> Criterion:
    """The criterion by which the last of the chosen came before the best who was not."""
    if next_best is not None:
        for criterion, mine, other in zip(criteria, chosen, next_best, strict=False):
            if mine != other:
                return criterion
    return criteria[-1]
