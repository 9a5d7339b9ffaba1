"""A telephone system at the other end of the wire: it posts what happens, and hears nothing of what we do."""

import itertools
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode
from uuid import uuid4

from app.apply import apply
from app.org import OrgFile
from cti.generic import NONCE_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, signature
from tests.stack import ORG, Answer, Stack

TOKEN: Final = "office-token-of-the-tests"
SECRET: Final = "cloud-secret-of-the-tests"
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
EXTENSIONS: Final = {"ava": ["201", "Ava Chen"], "ben": ["202"], "chen": ["203"]}
OFFICE: Final[dict[str, Any]] = {
    "key": "office",
    "dialect": "zammad",
    "token_env": "RINGDESK_CTI_OFFICE",
    "queue": "support",
    "language": "de",
    "numbers": {"style": "international", "region": "DE"},
    "queues": {"Vertrieb": "sales"},
    "blocked": ["+49 30 6666666"],
    "outbound": {
        "rules": [{"to": "49*", "caller_id": "4930123456"}, {"to": "1*55", "caller_id": "14155550199"}],
        "default_caller_id": "49800100100",
    },
}
CLOUD: Final[dict[str, Any]] = {
    "key": "cloud",
    "dialect": "generic",
    "secret_env": "RINGDESK_CTI_CLOUD",
    "queue": "sales",
    "language": "zh-CN",
    "numbers": {"style": "national", "region": "CN"},
    "mapping": {
        "event": {
            "path": "CallState",
            "values": {"Ring": "new_call", "Ringing": "ring", "Link": "answer", "Hangup": "hangup", "Login": "ignore"},
        },
        "call": "CallSheetID",
        "from": "CallNo",
        "to": "CalledNo",
        "direction": {"path": "CallType", "values": {"normal": "in", "dialout": "out"}, "default": "in"},
        "user": "Exten",
        "cause": {
            "path": "State",
            "values": {"dealing": "normalClearing", "notDeal": "noAnswer", "queueLeak": "cancel"},
            "default": "normalClearing",
        },
    },
}
_calls = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Pbx:
    stack: Stack

    async def post(self, fields: Mapping[str, Any] | list[tuple[str, str]], *, token: str = TOKEN) -> Answer:
        """In Zammad's dialect, as a form."""
        return await self.stack.raw(f"/cti/zammad/{token}", urlencode(fields, doseq=True), headers=FORM)

    async def post_json(self, fields: Any, *, token: str = TOKEN) -> Answer:
        headers = {"Content-Type": "application/json"}
        return await self.stack.raw(f"/cti/zammad/{token}", json.dumps(fields), headers=headers)

    async def tell(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Post, and be understood."""
        answer = await self.post(fields)
        assert answer.status == 200, answer
        await self.stack.quiet()
        body: dict[str, Any] = json.loads(answer.text)
        return body

    async def sign(self, fields: Any, *, connection: str = "cloud", secret: str = SECRET, **headers: str) -> Answer:
        """In the dialect of the mapping, signed."""
        body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
        now = self.stack.parts.resources.database.clock.now()
        timestamp, nonce = headers.pop("timestamp", str(int(now.timestamp()))), headers.pop("nonce", uuid4().hex)
        signed = {
            TIMESTAMP_HEADER: timestamp,
            NONCE_HEADER: nonce,
            SIGNATURE_HEADER: signature(secret, connection=connection, timestamp=timestamp, nonce=nonce, body=body),
        }
        answer = await self.stack.raw(f"/cti/generic/{connection}", body, headers=signed | headers)
        await self.stack.quiet()
        return answer

    async def time_passes(self) -> None:
        """So long that nothing told too early waits any more."""
        await self.stack.rows(
            "UPDATE provider_events SET received_at = received_at - interval '3 seconds' WHERE applied_at IS NULL RETURNING 1"
        )
        for _ in range(20):  # a step each time
            if not await self.stack.fire("cti.pbx_held"):
                return
        raise AssertionError("something waits for ever")

    async def call(self, call_id: str, connection: str = "office") -> Any:
        return await self.stack.call(f"{connection}:{call_id}")

    async def offers(self) -> list[tuple[str, str, str | None]]:
        """(agent, state, reason), in the order they were made."""
        rows = await self.stack.rows(
            "SELECT a.name, o.state, o.reason FROM offers o JOIN agents a ON a.id = o.agent_id ORDER BY o.id"
        )
        return [tuple(row) for row in rows]


def new_id() -> str:
    return f"{next(_calls):06d}-{uuid4().hex[:6]}"


def told(event: str, call: str, **more: Any) -> dict[str, Any]:
    """As Zammad's documentation shows it."""
    fields: dict[str, Any] = {
        "event": event,
        "from": "4915112345678",
        "to": "49301234567",
        "direction": "in",
        "callId": call,
    }
    return fields | more


async def connect(stack: Stack, *connections: dict[str, Any], **changes: Any) -> Pbx:
    """The organisation of the stack with telephone systems."""
    os.environ |= {"RINGDESK_CTI_OFFICE": TOKEN, "RINGDESK_CTI_CLOUD": SECRET}
    agents = [agent | {"extensions": EXTENSIONS[agent["email"].split("@")[0]]} for agent in ORG["agents"]]
    org = ORG | {"agents": agents, "cti_connections": list(connections or (OFFICE, CLOUD))} | changes
    async with stack.parts.resources.outbox.transaction() as tx:
        await apply(tx, OrgFile.model_validate(org), by="test")
    await stack.parts.telephony.connections.refresh(stack.parts.resources.database)
    return Pbx(stack)
