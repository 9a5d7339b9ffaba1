"""A message on the wire: AMQP's own properties are the envelope, the body is the event's JSON as it is."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from aio_pika import DeliveryMode
from aio_pika import Message as WireMessage
from aio_pika.abc import AbstractIncomingMessage

from infra.bus import Message

REASON_LIMIT: Final = 500
LARGEST_ID: Final = 2**63 - 1


def to_wire(message: Message, marks: Mapping[str, str] | None = None) -> WireMessage:
    """`marks` are further headers, such as the reason of a parked message."""
    headers: dict[str, str | int] = {"v": message.version, "at": message.created_at.isoformat()}
    if message.request_id is not None:
        headers["request_id"] = message.request_id
    return WireMessage(
        body=message.body,
        message_id=str(message.event_id),
        type=message.name,
        timestamp=message.created_at,
        correlation_id=message.correlation_id,
        headers={**headers, **(marks or {})},
        content_type="application/json",
        delivery_mode=DeliveryMode.PERSISTENT,
        app_id="ringdesk",
    )


def from_wire(delivery: AbstractIncomingMessage) -> Message | None:
    """None for anything Ringdesk did not write: the broker's content is input like any other."""
    headers = delivery.headers
    version, at, request_id = headers.get("v"), headers.get("at"), headers.get("request_id")
    event_id = delivery.message_id or ""
    if not (event_id.isascii() and event_id.isdigit() and int(event_id) <= LARGEST_ID and delivery.type):
        return None
    if not isinstance(version, int) or not isinstance(at, str) or not isinstance(request_id, str | None):
        return None
    try:
        created_at = datetime.fromisoformat(at)
    except ValueError:
        return None
    if created_at.tzinfo is None:
        return None
    return Message(
        event_id=int(event_id),
        name=delivery.type,
        version=version,
        body=delivery.body,
        created_at=created_at,
        correlation_id=delivery.correlation_id,
        request_id=request_id,
    )


def foreign_to_wire(delivery: AbstractIncomingMessage, marks: Mapping[str, str]) -> WireMessage:
    """A copy of what `from_wire` refused, for the parking queue. Its own headers stay behind."""
    return WireMessage(
        body=delivery.body,
        headers=dict(marks),
        message_id=delivery.message_id,
        type=delivery.type,
        correlation_id=delivery.correlation_id,
        delivery_mode=DeliveryMode.PERSISTENT,
    )


def park_marks(*, consumer: str, reason: str) -> dict[str, str]:
    return {"x-reason": reason[:REASON_LIMIT], "x-consumer": consumer}
