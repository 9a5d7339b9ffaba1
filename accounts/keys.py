"""The keys of the desk as each person has set them: kept with the person, so that they are the same in every browser."""

from typing import Annotated, Any, Final

import orjson
from pydantic import BaseModel, Field

from accounts.audit import audit
from core.errors import VersionConflict
from core.principal import READERS, actor_of
from infra.openapi import ApiModel, Call, Nothing, Routes
from infra.outbox import Tx
from infra.postgres import Connection

ROUTES: Final = Routes("accounts")

KEYS: Final = "SELECT is_off, bindings, version FROM key_settings WHERE user_id = $1"
SAVE_KEYS: Final = """
INSERT INTO key_settings (user_id, is_off, bindings, version, updated_at) SELECT $1, $2, $3, 1, $5 WHERE $4 = 0
ON CONFLICT (user_id) DO NOTHING RETURNING version
"""
CHANGE_KEYS: Final = """
UPDATE key_settings SET is_off = $2, bindings = $3, version = version + 1, updated_at = $5 WHERE user_id = $1 AND version = $4
RETURNING version
"""

Command = Annotated[str, Field(pattern=r"^[a-zA-Z0-9]{1,40}$")]
Keys = Annotated[str, Field(pattern=r"^((Ctrl|Alt|Shift)\+){0,3}[^\s+]{1,12}$", description="such as Ctrl+Shift+A")]


class KeysIn(ApiModel):
    """`bindings`: only commands whose keys are not the usual ones; an empty list switches the keys of a command off. `version`: of what was
    read, 0 when nothing was ever set."""

    is_off: bool
    bindings: Annotated[dict[Command, Annotated[list[Keys], Field(max_length=3)]], Field(max_length=100)]
    version: Annotated[int, Field(ge=0, lt=2**31)]


class KeysOut(BaseModel):
    is_off: bool
    bindings: dict[str, list[str]]
    version: int


def _shown(row: Any) -> KeysOut:
    return KeysOut(is_off=row["is_off"], bindings=row["bindings"], version=row["version"])


@ROUTES.query("/api/v1/keys", roles=READERS, returns=KeysOut)
async def read_keys(conn: Connection, call: Call[Nothing]) -> KeysOut:
    """One's own keys."""
    row = await conn.fetchrow(KEYS, call.who.user_id)
    return KeysOut(is_off=False, bindings={}, version=0) if row is None else _shown(row)


@ROUTES.command("PUT", "/api/v1/keys", roles=READERS, body=KeysIn, returns=KeysOut)
async def save_keys(tx: Tx, call: Call[KeysIn]) -> KeysOut:
    """Set one's own keys. 409 version_conflict with `current` when another window was faster."""
    data, user_id = call.data, call.who.user_id
    before = await tx.conn.fetchrow(KEYS, user_id)
    statement = SAVE_KEYS if data.version == 0 else CHANGE_KEYS
    version = await tx.conn.fetchval(statement, user_id, data.is_off, data.bindings, data.version, tx.now)
    if version is None:
        current = await tx.conn.fetchrow(KEYS, user_id)
        shown = None if current is None else orjson.loads(_shown(current).model_dump_json())
        raise VersionConflict("Your keys were changed in another window.", current=shown)
    after = {"is_off": data.is_off, "bindings": data.bindings}
    was = None if before is None else {"is_off": before["is_off"], "bindings": before["bindings"]}
    await audit(tx, actor_of(call.who), "keys.set", "user", user_id, before=was, after=after)
    return KeysOut(is_off=data.is_off, bindings=data.bindings, version=version)
