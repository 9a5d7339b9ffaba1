"""The simulator as an aiohttp application: mounted at /demo of the service, or on its own."""

from collections.abc import AsyncIterator

from aiohttp import web

from simulator.config import SimulatorConfig
from simulator.control import control_routes, problems
from simulator.keys import EXCHANGE
from simulator.provider.exchange import Exchange
from simulator.provider.rest.app import rest_app

__all__ = ["EXCHANGE", "create_app"]


def create_app(config: SimulatorConfig) -> web.Application:
    """Callers at /calls, softphones at /phone, the provider's REST at /twilio, the journal at /journal.

    `app[EXCHANGE]` is the exchange itself, for whoever runs in the same process.
    """
    exchange = Exchange(config)

    async def life(_: web.Application) -> AsyncIterator[None]:
        async with exchange.running():
            yield

    app = web.Application(middlewares=[problems])
    app[EXCHANGE] = exchange
    app.cleanup_ctx.append(life)
    app.add_routes(control_routes())
    app.add_subapp("/twilio", rest_app())
    return app
