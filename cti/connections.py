"""Telephone systems in memory: a request is let in or refused without the database. Their secrets come from the environment."""

import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import structlog

from cti import queries as sql
from cti.pbx_settings import Generic, Zammad, connection_of
from infra.postgres import Database, keep_fresh

log = structlog.get_logger()
REFRESH_S: Final = 10
SHORTEST: Final = 16


@dataclass(frozen=True, slots=True)
class Known:
    """`secrets`: more than one while it is changed."""

    settings: Zammad | Generic
    secrets: tuple[str, ...]


class Connections:
    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        self._known: dict[str, Known] = {}
        self._complained: set[str] = set()

    async def refresh(self, database: Database) -> None:
        async with database.acquire() as conn:
            rows = await conn.fetch(sql.CONNECTIONS)
        found = [connection_of(row["key"], row["dialect"], row["settings"]) for row in rows]
        self._known = {each.key: Known(each, self._secrets_of(each)) for each in found}

    async def keep(self, database: Database) -> None:
        await keep_fresh(database, self.refresh, "telephone systems", every_s=REFRESH_S)

    def _secrets_of(self, connection: Zammad | Generic) -> tuple[str, ...]:
        """The variable holds one, or two with a comma between them. What is too short to be a secret lets nobody in."""
        name = connection.token_env if isinstance(connection, Zammad) else connection.secret_env
        parts = [part.strip() for part in self._environment.get(name, "").split(",")]
        secrets = tuple(part for part in parts if len(part) >= SHORTEST)
        if not secrets and name not in self._complained:
            self._complained.add(name)
            log.error(
                "telephone system has no secret; nothing of it is let in", connection=connection.key, variable=name
            )
        return secrets

    def generic(self, key: str) -> tuple[Generic, tuple[str, ...]] | None:
        known = self._known.get(key)
        return (known.settings, known.secrets) if known is not None and isinstance(known.settings, Generic) else None

    def by_token(self, token: str) -> Zammad | None:
        """All are compared, each in the same time."""
        given, found = sha256(token.encode("utf-8", "surrogatepass")).digest(), None
        for known in self._known.values():
            if isinstance(known.settings, Zammad):
                for secret in known.secrets:
                    if hmac.compare_digest(sha256(secret.encode()).digest(), given):
                        found = known.settings
        return found
