"""Who acts: a person with a role, or the system itself. Queries that check rights take a Principal."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    AGENT = "agent"
    SUPERVISOR = "supervisor"
    ADMIN = "admin"
    AUDITOR = "auditor"
    INTEGRATION = "integration"


STAFF = frozenset({Role.AGENT, Role.SUPERVISOR, Role.ADMIN})
LEADS = frozenset({Role.SUPERVISOR, Role.ADMIN})
READERS = frozenset({Role.AGENT, Role.SUPERVISOR, Role.ADMIN, Role.AUDITOR, Role.INTEGRATION})
ADMINS = frozenset({Role.ADMIN})


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated user. `session_hash` names the session, so that its sockets end with it."""

    user_id: int
    role: Role
    name: str
    email: str
    session_hash: bytes | None = None

    @property
    def is_lead(self) -> bool:
        return self.role in LEADS


@dataclass(frozen=True, slots=True)
class Actor:
    """The author of a change, for history and audit: `user` with an id, `system` (timers), `provider`, `cli`."""

    kind: str
    id: int | None = None
    name: str | None = None


SYSTEM = Actor("system")
PROVIDER = Actor("provider")


def actor_of(principal: Principal) -> Actor:
    return Actor("user", principal.user_id, principal.name)
