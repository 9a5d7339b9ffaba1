"""The do-not-call list: numbers that agents must not call."""

from typing import Final

from core.errors import NotFound
from cti.number_list import NumberList
from cti.number_list_queries import DO_NOT_CALL
from infra.postgres import Connection


class NotListed(NotFound):
    code, title = "not_on_do_not_call_list", "This number is not on the do-not-call list"


async def _refused(_: Connection, number: str) -> str | None:
    return None if number.startswith("+") else "this is no telephone number that could be called"


LIST: Final = NumberList(DO_NOT_CALL, "do_not_call", _refused, NotListed)
