"""Where the HTTP edges of the simulator find the exchange."""

from aiohttp import web

from simulator.provider.exchange import Exchange

EXCHANGE = web.AppKey("simulator_exchange", Exchange)
