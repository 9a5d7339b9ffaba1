"""What the simulator is told: the account it plays, the service it calls, and how badly it behaves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal
from urllib.parse import urljoin

from pydantic import BaseModel, ConfigDict, Field

from core import demo_account
from simulator.clock import Clock, RealClock

Probability = Annotated[float, Field(ge=0, le=1)]


class Faults(BaseModel):
    """Probabilities. Duplicates and wrong signatures strike every request of ours; the rest only callbacks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    duplicate: Probability = 0
    """The same request again after the first was answered; the second answer is the one that counts."""
    concurrent_duplicate: Probability = 0
    """The same request twice at once."""
    wrong_signature: Probability = 0
    reorder: Probability = 0
    """A callback waits until the next one of the same object has gone, at most `delay_s`."""
    delay: Probability = 0
    drop: Probability = 0
    delay_s: float = Field(default=2, ge=0, le=600)
    only: tuple[str, ...] = ()
    """Limits all of them to URLs that contain one of these; empty means every URL."""

    def apply_to(self, url: str) -> bool:
        return not self.only or any(part in url for part in self.only)


@dataclass(frozen=True, slots=True)
class Target:
    """An address to ask, as it stands in a TwiML attribute or in the account's settings."""

    url: str
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Line:
    """The settings of a phone number or of a TwiML App."""

    voice: Target
    fallback: Target | None = None
    status_callback: Target | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    service_base_url: str
    """The public URL of the service: what is configured at the provider, called and signed."""
    service_address: str | None = None
    """Where to connect instead, when the public URL does not lead here; signatures keep the public one."""
    account_sid: str = demo_account.ACCOUNT_SID
    auth_token: str = demo_account.AUTH_TOKEN
    api_key_sid: str = demo_account.API_KEY_SID
    api_key_secret: str = demo_account.API_KEY_SECRET
    app_sid: str = demo_account.APP_SID
    numbers: Mapping[str, Line] = field(default_factory=dict)
    """Settings per number; any other number has the `default_line`."""
    accept_any_number: bool = True
    is_blank: bool = False
    """As a new account: numbers and TwiML App ask nobody until REST sets their addresses."""
    app: Line | None = None
    """Settings of the TwiML App; None: {base}/twilio/agent and the default fallback and status callback."""

    faults: Faults = field(default_factory=Faults)
    seed: int | None = None
    clock: Clock = field(default_factory=RealClock)
    idempotency_header: Literal["always", "retries", "never"] = "always"
    connect_timeout_s: float = 5
    read_timeout_s: float = 15
    total_timeout_s: float = 15
    retries: int = 1
    calls_per_second: float | None = 1
    """Calls and participants created over REST; more wait with status `queued`. None: no limit."""
    requests_per_second: float | None = None
    """REST requests of any kind; more are answered 429 with code 20429. None: no limit."""
    rest_busy: float = 0
    """The share of REST requests that is answered 429 whatever the rate, as the provider may at any time."""
    queue_size: int = 1000
    conference_size: int = 250
    speech_chars_per_s: float = 15
    play_s: float = 5
    """Length of every sound file: the simulator does not fetch it."""
    journal_size: int = 5000
    keep_ended: int = 2000
    """Ended calls and conferences that REST can still be asked for."""

    @property
    def base(self) -> str:
        return self.service_base_url.rstrip("/") + "/"

    @property
    def default_line(self) -> Line:
        return self._line("twilio/voice")

    @property
    def app_line(self) -> Line:
        return self.app or self._line("twilio/agent")

    def line(self, number: str) -> Line | None:
        return self.numbers.get(number) or (self.default_line if self.accept_any_number else None)

    def _line(self, path: str) -> Line:
        if self.is_blank:
            return Line(Target(""))
        return Line(
            voice=Target(urljoin(self.base, path)),
            fallback=Target(urljoin(self.base, "twilio/voice/fallback")),
            status_callback=Target(urljoin(self.base, "twilio/status")),
        )
