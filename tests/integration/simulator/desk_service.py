"""A small contact centre at the wire: enough of the service's interfaces for scripted callers and agents.

One queue, first free agent, no database; the simulator is mounted at /demo of the same server. `flaws` names what it
does wrong on purpose, so that tests see the accounts find it.
"""

import asyncio
import itertools
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import socketio
from aiohttp import web
from twilio.jwt.access_token import AccessToken
from twilio.jwt.access_token.grants import VoiceGrant

from core import demo_account
from simulator.config import Faults, SimulatorConfig
from simulator.provider.exchange import Exchange
from simulator.server import EXCHANGE, create_app
from simulator.tasks import TaskOwner

Data = dict[str, Any]
REST = f"/demo/twilio/2010-04-01/Accounts/{demo_account.ACCOUNT_SID}"


@dataclass
class Agent:
    id: int
    email: str
    presence: str = "offline"
    version: int = 1
    log: list[tuple[str, Data]] = field(default_factory=list)
    acked: int = 0
    painted: list[int] = field(default_factory=list)
    sockets: set[str] = field(default_factory=set)
    busy_with: "Call | None" = None


@dataclass
class Call:
    id: int
    sid: str
    from_: str
    state: str = "queued"
    outcome: str | None = None
    ticket: int | None = None
    offer: int | None = None
    agent: Agent | None = None
    offered_at: str = ""
    version: int = 1


class DeskService:
    def __init__(self, emails: list[str]) -> None:
        self.agents = {email: Agent(n, email) for n, email in enumerate(emails, start=1)}
        self.calls: dict[str, Call] = {}
        self.flaws: set[str] = set()
        self.url = ""
        self.log_ins = 0
        self.tasks = TaskOwner()
        self.http: aiohttp.ClientSession
        self._ids = itertools.count(100)
        self._cookies: dict[str, str] = {}
        self._tickets: dict[str, str] = {}
        self.sio = socketio.AsyncServer(async_mode="aiohttp", namespaces=["/desk"])
        self.sio.on("connect", self.connect, namespace="/desk")
        self.sio.on("disconnect", self.disconnect, namespace="/desk")
        self.sio.on("ack", self.ack, namespace="/desk")
        self.sio.on("painted", self.painted, namespace="/desk")

    def routes(self) -> list[web.RouteDef]:
        api = "/api/v1"
        return [
            web.post(f"{api}/session", self.log_in),
            web.get(f"{api}/session", self.who),
            web.delete(f"{api}/session", self.log_out),
            web.post(f"{api}/realtime-ticket", self.ticket),
            web.post(f"{api}/voice-token", self.voice_token),
            web.put(f"{api}/presence", self.set_presence),
            web.get(f"{api}/agents", self.list_agents),
            web.get(f"{api}/customers", self.list_customers),
            web.get(f"{api}/calls", self.list_calls),
            web.post(f"{api}/offers/{{id}}/accept", self.accept),
            web.post(f"{api}/offers/{{id}}/reject", self.reject),
            web.post(f"{api}/calls/{{id}}/hangup", self.hang_up),
            web.post(f"{api}/calls/{{id}}/wrap-up", self.wrap_up),
            web.post("/twilio/voice", self.voice),
            web.post("/twilio/queue/wait", self.wait),
            web.post("/twilio/agent", self.phone),
            web.post("/twilio/status", self.status),
            web.post("/twilio/conference", self.nothing),
            web.post("/twilio/queue/done", self.nothing),
            web.post("/twilio/dial/done", self.nothing),
        ]

    # Sessions

    async def log_in(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.log_ins += 1
        if self.log_ins == 1 and "limited" in self.flaws:
            return web.json_response({"code": "rate_limited"}, status=429, headers={"Retry-After": "1"})
        if body["password"] != demo_account.PASSWORD:
            return web.json_response({"code": "bad_credentials"}, status=401)
        cookie = secrets.token_hex(8)
        self._cookies[cookie] = body["email"]
        response = web.json_response({"user": {"email": body["email"]}})
        response.set_cookie("ringdesk", cookie)
        return response

    async def who(self, request: web.Request) -> web.Response:
        return web.json_response({"user": {"email": self._email(request)}})

    async def log_out(self, request: web.Request) -> web.Response:
        del self._cookies[request.cookies["ringdesk"]]
        return web.Response(status=204)

    def _email(self, request: web.Request) -> str:
        email = self._cookies.get(request.cookies.get("ringdesk", ""))
        if email is None:
            raise web.HTTPUnauthorized(text='{"code": "unauthenticated"}', content_type="application/json")
        return email

    def _agent(self, request: web.Request) -> Agent:
        return self.agents[self._email(request)]

    # Realtime

    async def ticket(self, request: web.Request) -> web.Response:
        ticket = secrets.token_hex(8)
        self._tickets[ticket] = self._email(request)
        return web.json_response({"ticket": ticket})

    async def connect(self, sid: str, _: Data, auth: Data) -> None:
        email = self._tickets.pop(auth["ticket"], None)
        if email is None:
            raise socketio.exceptions.ConnectionRefusedError({"code": "ticket_invalid"})
        agent = self.agents[email]
        agent.sockets.add(sid)
        await self.sio.save_session(sid, {"email": email}, namespace="/desk")
        await self.sio.enter_room(sid, f"agent:{agent.id}", namespace="/desk")
        if auth["last_seq"] is None:
            data = {
                "seq": len(agent.log),
                "presence": self._presence(agent),
                "offers": [self._pop(agent.busy_with)] if agent.busy_with and agent.busy_with.state == "offering" else [],
                "calls": [],
            }  # fmt: skip
            await self.sio.emit("snapshot", {"seq": None, "data": data}, to=sid, namespace="/desk")
        else:
            for seq in range(auth["last_seq"], len(agent.log)):
                kind, content = agent.log[seq]
                await self.sio.emit(kind, {"seq": seq + 1, "data": content}, to=sid, namespace="/desk")

    async def disconnect(self, sid: str, *_: object) -> None:
        session = await self.sio.get_session(sid, namespace="/desk")
        self.agents[session["email"]].sockets.discard(sid)

    async def ack(self, sid: str, data: Data) -> None:
        session = await self.sio.get_session(sid, namespace="/desk")
        self.agents[session["email"]].acked = data["seq"]

    async def painted(self, sid: str, data: Data) -> None:
        session = await self.sio.get_session(sid, namespace="/desk")
        self.agents[session["email"]].painted.append(data["offer_id"])

    async def tell(self, agent: Agent, kind: str, data: Data) -> None:
        agent.log.append((kind, data))
        envelope = {"seq": len(agent.log), "type": kind, "data": data}
        await self.sio.emit(kind, envelope, room=f"agent:{agent.id}", namespace="/desk")
        if "repeats" in self.flaws:  # allowed by the protocol: clients drop what they have
            await self.sio.emit(kind, envelope, room=f"agent:{agent.id}", namespace="/desk")
        if "shows_twice" in self.flaws and kind == "screen_pop":
            self.flaws.discard("shows_twice")
            await self.tell(agent, kind, data)

    async def drop_sockets(self) -> None:
        for agent in self.agents.values():
            for sid in list(agent.sockets):
                await self.sio.disconnect(sid, namespace="/desk")

    # Agents

    async def voice_token(self, request: web.Request) -> web.Response:
        grant = VoiceGrant(outgoing_application_sid=demo_account.APP_SID)
        token = AccessToken(
            demo_account.ACCOUNT_SID,
            demo_account.API_KEY_SID,
            demo_account.API_KEY_SECRET,
            identity=f"agent_{self._agent(request).id}",
            grants=[grant],
        )
        return web.json_response({"token": token.to_jwt()})

    def _presence(self, agent: Agent) -> Data:
        return {"state": agent.presence, "version": agent.version}

    async def set_presence(self, request: web.Request) -> web.Response:
        agent = self._agent(request)
        agent.presence, agent.version = (await request.json())["state"], agent.version + 1
        self.tasks.spawn(self._match(), "match")
        return web.json_response(self._presence(agent))

    async def list_agents(self, request: web.Request) -> web.Response:
        self._email(request)
        items = [
            {"id": a.id, "email": a.email, "role": "agent", "connected": bool(a.sockets), "queues": ["support"]}
            for a in self.agents.values()
        ]
        return web.json_response({"items": items})

    async def list_customers(self, request: web.Request) -> web.Response:
        self._email(request)
        return web.json_response({"items": [{"phones": ["+14155550100", "+14155550101"]}]})

    async def list_calls(self, request: web.Request) -> web.Response:
        self._email(request)
        call = self.calls.get(request.query["sid"])
        item = {
            "sid": request.query["sid"],
            "state": call.state,
            "outcome": call.outcome,
            "queued_at": call.offered_at or "2026-01-05T09:00:00Z",
            "ticket": {"id": call.ticket} if call.ticket else None,
        } if call else None  # fmt: skip
        return web.json_response({"items": [item] if item else []})

    # Offers and calls

    def _pop(self, call: Call) -> Data:
        return {
            "offer_id": call.offer,
            "version": 1,
            "state": "pending" if call.state == "offering" else "accepted",
            "offered_at": call.offered_at,
            "call": {"id": call.id, "from": call.from_},
        }

    async def _match(self) -> None:
        for call in self.calls.values():
            free = [a for a in self.agents.values() if a.presence == "available" and a.sockets and not a.busy_with]
            if call.state == "queued" and free:
                agent = free[0]
                agent.busy_with, call.agent, call.state, call.offer = call, agent, "offering", next(self._ids)
                call.offered_at = datetime.now(UTC).isoformat()
                await self.tell(agent, "screen_pop", self._pop(call))

    def _offered(self, request: web.Request) -> Call:
        agent, offer = self._agent(request), int(request.match_info["id"])
        call = agent.busy_with
        if call is None or call.offer != offer or call.state != "offering":
            raise web.HTTPConflict(text='{"code": "offer_expired"}', content_type="application/json")
        return call

    async def accept(self, request: web.Request) -> web.Response:
        call = self._offered(request)
        call.state = "connecting"
        await self._changed(call)
        twiml = f"<Response><Dial><Conference endConferenceOnExit='true'>call_{call.id}</Conference></Dial></Response>"
        await self._provider(call, Twiml=twiml)
        return web.json_response({"offer": {"id": call.offer, "state": "accepted"}, "call": {"id": call.id}})

    async def reject(self, request: web.Request) -> web.Response:
        call = self._offered(request)
        assert call.agent is not None
        call.state, call.agent.busy_with = "queued", None
        await self.tell(call.agent, "offer_ended", {"offer_id": call.offer, "outcome": "rejected"})
        self.tasks.spawn(self._match(), "match")
        return web.json_response({"offer": {"id": call.offer, "state": "rejected"}})

    async def hang_up(self, request: web.Request) -> web.Response:
        call = next(c for c in self.calls.values() if c.id == int(request.match_info["id"]))
        await self._provider(call, Status="completed")
        return web.json_response({"call": {"id": call.id, "state": call.state}})

    async def wrap_up(self, request: web.Request) -> web.Response:
        call = next(c for c in self.calls.values() if c.id == int(request.match_info["id"]))
        agent = call.agent
        if call.state != "wrap_up" or agent is None:
            return web.json_response({"code": "not_wrapping"}, status=409)
        call.state, agent.busy_with = "closed", None
        await self.tell(agent, "call_changed", {"call_id": call.id, "state": "closed"})
        self.tasks.spawn(self._match(), "match")
        return web.json_response({"call": {"id": call.id, "state": "closed"}})

    async def _changed(self, call: Call) -> None:
        assert call.agent is not None
        call.version += 1
        state = "wrapping" if call.state == "wrap_up" else call.state
        await self.tell(call.agent, "call_changed", {"pop": self._pop(call), "state": state, "version": call.version})

    async def _provider(self, call: Call, **fields: str) -> None:
        headers = {
            "Authorization": aiohttp.encode_basic_auth(demo_account.ACCOUNT_SID, demo_account.AUTH_TOKEN),
        }
        async with self.http.post(f"{self.url}{REST}/Calls/{call.sid}.json", data=fields, headers=headers) as response:
            await response.read()

    # Telephony

    async def voice(self, request: web.Request) -> web.Response:
        form = await request.post()
        call = Call(next(self._ids), str(form["CallSid"]), str(form["From"]), ticket=next(self._ids))
        if "no_ticket" in self.flaws:
            call.ticket = None
        if "forgets" not in self.flaws:
            self.calls[call.sid] = call
        self.tasks.spawn(self._match(), "match")
        return _twiml('<Enqueue waitUrl="/twilio/queue/wait" action="/twilio/queue/done">q</Enqueue>')

    async def wait(self, _: web.Request) -> web.Response:
        return _twiml('<Pause length="5"/>')

    async def phone(self, request: web.Request) -> web.Response:
        form = await request.post()
        call = next(c for c in self.calls.values() if str(c.id) == form["CallId"])
        if call.state == "connecting":
            call.state = "in_call"
            await self._changed(call)
        return _twiml(f"<Dial><Conference>call_{call.id}</Conference></Dial>")

    async def status(self, request: web.Request) -> web.Response:
        call = self.calls.get(str((await request.post())["CallSid"]))
        if call is not None:
            if call.state in {"in_call", "connecting"}:
                call.state, call.outcome = "wrap_up", "answered"
                await self._changed(call)
            elif call.state in {"queued", "offering"}:
                was, call.state, call.outcome = call.state, "closed", "abandoned_queue"
                if was == "offering" and call.agent is not None:
                    call.agent.busy_with = None
                    await self.tell(call.agent, "offer_ended", {"offer_id": call.offer, "outcome": "rescinded"})
                self.tasks.spawn(self._match(), "match")
        return web.Response(status=204)

    async def nothing(self, _: web.Request) -> web.Response:
        return _twiml("")


def _twiml(verbs: str) -> web.Response:
    return web.Response(text=f"<Response>{verbs}</Response>", content_type="text/xml")


@dataclass
class Centre:
    service: DeskService
    exchange: Exchange
    url: str

    async def until(self, condition: Any, limit: timedelta = timedelta(seconds=10)) -> None:
        async with asyncio.timeout(limit.total_seconds()):
            while not condition():  # noqa: ASYNC110 - the state asked about belongs to many, who announce nothing
                await asyncio.sleep(0.02)


@asynccontextmanager
async def a_centre(emails: list[str], *, faults: Faults | None = None, seed: int = 3) -> AsyncIterator[Centre]:
    service = DeskService(emails)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        service.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        app = web.Application()
        app.add_routes(service.routes())
        service.sio.attach(app)
        config = SimulatorConfig(service_base_url=service.url, seed=seed, faults=faults or Faults())
        simulator = create_app(config)
        app.add_subapp("/demo", simulator)
        runner = web.AppRunner(app, shutdown_timeout=1)
        async with aiohttp.ClientSession() as service.http:
            await service.tasks.start()
            await runner.setup()
            await web.SockSite(runner, listening).start()
            try:
                yield Centre(service, simulator[EXCHANGE], service.url)
            finally:
                await service.tasks.stop()
                await runner.cleanup()
