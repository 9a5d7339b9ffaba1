"""An outbox for commands of the command line: writes events and deliveries; the running service carries them on."""

import contextlib
from collections.abc import AsyncIterator

from app.choreography import reactions
from cti.commands import Commands
from cti.lines import Lines
from cti.twilio_api import TwilioApi
from infra.local_broker import LocalBroker
from infra.outbox import Outbox
from infra.postgres import open_database
from realtime.push import Push
from realtime.server import DeskServer


@contextlib.asynccontextmanager
async def one_off(database_url: str) -> AsyncIterator[Outbox]:
    """Transactions with the full choreography, but nothing runs after commit here: the service's relay takes the rows."""
    async with open_database(database_url, size=2, application="ringdesk command") as database, LocalBroker() as broker:
        outbox = Outbox(database, broker, relay=False, starts_effects=False)
        server = DeskServer(outbox, public_url="http://127.0.0.1", replica="command", redis_url=None)
        commands = Commands(outbox, TwilioApi({}, None), Lines(), "")
        outbox.react(reactions(commands=commands, push=Push(server)))
        yield outbox
