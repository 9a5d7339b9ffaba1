"""The AsyncAPI 3 document: what travels on the broker and on the desks' sockets, from the same models that the code uses."""

import json
from typing import Any, Final

from pydantic import TypeAdapter

from core.events import CATALOGUE, Event
from realtime.messages import CLIENT_MESSAGES, SERVER_MESSAGES, Envelope

EXCHANGE: Final = {"name": "ringdesk.events", "type": "topic", "durable": True, "autoDelete": False}
DESK: Final = "desk"
HEADERS: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["v", "at"],
    "properties": {
        "v": {"type": "integer", "description": "version of the event's meaning"},
        "at": {"type": "string", "format": "date-time", "description": "when it was committed"},
        "request_id": {"type": "string", "description": "the request that caused it, if one did"},
    },
}
ABOUT: Final = (
    "Events are past facts on the broker: ids and versions, never names, numbers or texts. They come at least once and in any order: drop "
    "what is older than the version you have, ignore fields you do not know. Messages to the desks go over Socket.IO (path /socket.io, "
    "namespace /desk, websocket only); those with a `seq` are repeated until it is acknowledged."
)


def document(version: str) -> dict[str, Any]:
    schemas, definitions = _schemas()
    messages: dict[str, Any] = {}
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for event in CATALOGUE:
        messages[event.name] = {
            "name": event.name,
            "summary": _first_line(event),
            "contentType": "application/json",
            "headers": HEADERS,
            "correlationId": {"location": "$message.header#/correlation_id"},
            "payload": schemas[event.name, "serialization"],
            "x-version": event.v,
        }
        channels[event.name] = {
            "address": event.name,
            "messages": {event.name: _ref("messages", event.name)},
            "bindings": {"amqp": {"is": "routingKey", "exchange": EXCHANGE}},
        }
        operations[f"publish.{event.name}"] = {"action": "send", "channel": {"$ref": f"#/channels/{event.name}"}}
    to_desk = [_desk_message(messages, name, "serialization", schemas) for name in SERVER_MESSAGES]
    from_desk = [_desk_message(messages, name, "validation", schemas) for name in CLIENT_MESSAGES]
    channels[DESK] = {
        "address": "/desk",
        "description": "Socket.IO namespace; handshake `auth: {ticket, last_seq}`. The event's name is the message's, with one argument.",
        "messages": {name: _ref("messages", f"{DESK}.{name}") for name in (*to_desk, *from_desk)},
    }
    for name, action, names in (("desk.push", "send", to_desk), ("desk.hear", "receive", from_desk)):
        refs = [{"$ref": f"#/channels/{DESK}/messages/{each}"} for each in names]
        operations[name] = {"action": action, "channel": {"$ref": f"#/channels/{DESK}"}, "messages": refs}
    whole = {
        "asyncapi": "3.0.0",
        "info": {"title": "Ringdesk", "version": version, "description": ABOUT, "license": {"name": "Apache-2.0"}},
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": definitions},
    }
    copied: dict[str, Any] = json.loads(json.dumps(whole))  # nothing shared, so that YAML needs no anchors
    return copied


def _schemas() -> tuple[dict[tuple[str, str], Any], dict[str, Any]]:
    """By name and direction: payload schemas, and the definitions that they refer to."""
    inputs: list[tuple[Any, Any, TypeAdapter[Any]]] = [
        *((event.name, "serialization", TypeAdapter(event)) for event in CATALOGUE),
        *((name, "serialization", TypeAdapter(data)) for name, data in SERVER_MESSAGES.items()),
        *((name, "validation", TypeAdapter(data)) for name, data in CLIENT_MESSAGES.items()),
        ("envelope", "serialization", TypeAdapter(Envelope)),
    ]
    schemas, rest = TypeAdapter.json_schemas(inputs, ref_template="#/components/schemas/{model}")
    return dict(schemas), rest.get("$defs", {})


def _desk_message(messages: dict[str, Any], name: str, mode: str, schemas: dict[tuple[str, str], Any]) -> str:
    payload = schemas[name, mode]
    if mode == "serialization":
        of_this_type = {"properties": {"type": {"const": name}, "data": payload}}
        payload = {"allOf": [schemas["envelope", "serialization"], of_this_type]}
    messages[f"{DESK}.{name}"] = {"name": name, "contentType": "application/json", "payload": payload}
    return name


def _ref(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}


def _first_line(event: type[Event]) -> str:
    own = event.__doc__ if event.__doc__ != Event.__doc__ else None
    return (own or event.name).strip().split("\n")[0]
