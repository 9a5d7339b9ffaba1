"""The block list: numbers whose calls are not let in.

Our own numbers and those of emergency services are never blocked; a hidden caller has no number to block.
"""

from typing import Final

from core.errors import NotFound
from cti import queries as sql
from cti.number_list import NumberList
from cti.number_list_queries import BLOCKED
from infra.postgres import Connection


class NotBlocked(NotFound):
    code, title = "not_blocked", "This number is not blocked"


async def _refused(conn: Connection, number: str) -> str | None:
    return "this is one of our own numbers" if await conn.fetchval(sql.IS_OUR_NUMBER, number) else None


LIST: Final = NumberList(BLOCKED, "blocked_number", _refused, NotBlocked)
