"""The person on the line, scripted: waits, presses, speaks, loses patience, hangs up."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from simulator.provider.leg import Leg

Seconds = Annotated[float, Field(ge=0, le=86_400)]
Digits = Annotated[str, Field(pattern=r"^[0-9*#]{1,64}$")]
Spoken = Annotated[str, Field(min_length=1, max_length=1000)]


class Step(BaseModel):
    """Exactly one of these."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    wait_s: Seconds | None = None
    press: Digits | None = None
    say: Spoken | None = None
    until_talking_s: Seconds | None = None
    """Wait until somebody else is on the line, at most so long."""
    until_asked_s: Seconds | None = None
    """Wait until a key or a word is listened for, at most so long."""
    hang_up: bool | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "Step":
        if len(self.model_fields_set) != 1:
            raise ValueError("a step is exactly one of wait_s, press, say, until_talking_s, until_asked_s, hang_up")
        return self


class Person(BaseModel):
    """First the script; then, if given, patience for an agent and the length of the talk."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    script: tuple[Step, ...] = ()
    patience_s: Seconds | None = None
    talk_s: Seconds | None = None


async def live(person: Person, leg: Leg) -> None:
    """Act on the leg until the script is over or the leg is."""
    for step in person.script:
        if leg.is_over:
            return
        await _do(step, leg)
    if person.patience_s is None and person.talk_s is None:
        return
    await leg.watch(lambda: leg.is_talking or leg.is_over, person.patience_s)
    if not leg.is_talking:
        leg.leave()
    elif person.talk_s is not None:
        await leg.watch(lambda: leg.is_over, person.talk_s)
        leg.leave()


async def _do(step: Step, leg: Leg) -> None:
    if step.wait_s is not None:
        await leg.watch(lambda: leg.is_over, step.wait_s)
    elif step.press is not None:
        leg.press(step.press)
    elif step.say is not None:
        leg.say(step.say)
    elif step.until_talking_s is not None:
        await leg.watch(lambda: leg.is_talking or leg.is_over, step.until_talking_s)
    elif step.until_asked_s is not None:
        await leg.watch(lambda: leg.is_asked or leg.is_over, step.until_asked_s)
    elif step.hang_up:
        leg.leave()
