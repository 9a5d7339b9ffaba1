"""The demo: organisation, customers and passwords that everybody knows, the simulator at /demo, gentle background traffic."""

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from accounts import queries as accounts
from accounts.passwords import hash_password, is_right
from core import demo_account
from core.errors import RingdeskError
from core.ids import UserId
from core.loopback import LOOPBACK
from cti.signature import with_credentials
from customers import service as customers
from infra.http import HttpProblem, json_response
from infra.openapi import MAX_BODY
from infra.outbox import Outbox
from infra.postgres import Database
from simulator.config import SimulatorConfig
from simulator.server import create_app
from simulator.traffic import Traffic

log = structlog.get_logger()
FOLDER: Final = Path(__file__).resolve().parent.parent / "demo"


async def seed(outbox: Outbox, password: str = demo_account.PASSWORD) -> bool:
    """On the first start: the demo's organisation, people with this password, customers. Returns whether anything was done."""
    async with outbox.database.acquire() as conn:
        if await conn.fetchval("SELECT EXISTS (SELECT 1 FROM queues)"):
            return False
    from app.apply import apply  # here, since only the first start needs them
    from app.org import read_org

    org = read_org(FOLDER / "org.yaml")
    # One hash for all: they share the password, and hashing it twelve times would only cost the first start two seconds.
    shared_hash = await hash_password(password)
    # One transaction: a start that is killed in here leaves nothing, so that the next one does all of it.
    async with outbox.transaction() as tx:
        await apply(tx, org, by="demo")
        for agent in org.agents:
            user = await accounts.user_by_email(tx.conn, email=agent.email)
            if user is not None:
                await accounts.set_password_hash(
                    tx.conn, user_id=UserId(user.id), password_hash=shared_hash, now=tx.now
                )
        await customers.import_csv(tx, FOLDER / "customers.csv")
    return True


KNOWN_TO_ALL: Final = """
SELECT DISTINCT password_hash FROM users WHERE is_active AND password_hash IS NOT NULL AND email LIKE '%@demo.example'
"""


async def refuse_known_passwords(database: Database, host: str, public_url: str | None) -> None:
    """A database that was a demo still has its people. Raises KnownPasswords when others than this machine could log in."""
    if host in LOOPBACK and (urlsplit(public_url or "").hostname or host) in LOOPBACK:
        return
    async with database.acquire() as conn:
        hashes = [row["password_hash"] for row in await conn.fetch(KNOWN_TO_ALL)]
    for password_hash in hashes:
        if await is_right(password_hash, demo_account.PASSWORD):
            raise KnownPasswords(
                "The users @demo.example of this database have the demo's known password, so only a loopback address is served. "
                "Take another database or data directory, or change or disable them with `ringdesk user`."
            )


class KnownPasswords(RingdeskError):
    code, title = "known_passwords", "The demo's passwords are known to everybody"


class Demo:
    """The simulator's application with a switch for the traffic."""

    def __init__(self, public_url: str, credentials: tuple[str, str] | None = None) -> None:
        self.traffic = Traffic(public_url)
        self.app = create_app(SimulatorConfig(service_base_url=with_credentials(public_url, credentials)))
        self.app.router.add_get("/traffic", self._read)
        self.app.router.add_post("/traffic", self._switch)

    async def _read(self, _: web.Request) -> web.Response:
        return json_response({"on": self.traffic.is_on})

    async def _switch(self, request: web.Request) -> web.Response:
        if (request.content_length or 0) > MAX_BODY:
            raise HttpProblem(413)
        try:
            wanted = (await request.json())["on"]
        except (ValueError, KeyError, TypeError):
            raise HttpProblem(422, 'Send {"on": true} or {"on": false}.') from None
        if wanted is True:
            await self.traffic.start()
        elif wanted is False:
            await self.traffic.stop()
        else:
            raise HttpProblem(422, 'Send {"on": true} or {"on": false}.')
        return await self._read(request)
