"""`python -m simulator serve`: the simulator on its own, for a service that runs elsewhere."""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from aiohttp import web

from simulator.config import Faults, SimulatorConfig
from simulator.server import create_app


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    account = json.loads(Path(options.account).read_text()) if options.account else {}
    if options.account_env:
        account = _as_played(json.loads(os.environ[options.account_env])[0])
    config = SimulatorConfig(
        service_base_url=options.public_url_of_service,
        service_address=options.connect_to,
        seed=options.seed,
        faults=Faults.model_validate_json(options.faults),
        is_blank=options.blank,
        rest_busy=options.rest_busy,
        calls_per_second=options.calls_per_second or None,
        **account,
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(config, options.host, options.port))
    return 0


def _as_played(account: dict[str, Any]) -> dict[str, str]:
    """One account as the service is told it: there the keys of two may be in use at once, here the first is."""
    same = {name: account[name] for name in ("api_key_sid", "api_key_secret", "app_sid") if account.get(name)}
    return {"account_sid": account["sid"], "auth_token": account["auth_tokens"][0]} | same


async def _serve(config: SimulatorConfig, host: str, port: int) -> None:
    runner = web.AppRunner(create_app(config), access_log=None, shutdown_timeout=2)
    await runner.setup()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound = runner.addresses[0][1]
        sys.stdout.write(f"simulator ready http://{host}:{bound} calls {config.service_base_url}\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await runner.cleanup()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    serve = parser.add_subparsers(required=True).add_parser("serve", help="serve until stopped")
    serve.add_argument("--port", type=int, default=0, help="0: any free port, printed at start")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--public-url-of-service", required=True, help="base URL that is called and signed")
    serve.add_argument("--connect-to", help="address to connect to instead of the public URL")
    serve.add_argument("--seed", type=int, help="repeatable chance and SIDs; not for a service that keeps data")
    serve.add_argument("--faults", default="{}", help='JSON, such as {"duplicate": 0.2, "reorder": 0.5}')
    serve.add_argument("--account", help="JSON file with account_sid, auth_token, api_key_sid, api_key_secret, app_sid")
    serve.add_argument(
        "--account-env", help="environment variable with RINGDESK_TWILIO_ACCOUNTS; the first one is played"
    )
    serve.add_argument("--blank", action="store_true", help="numbers and TwiML App ask nobody until REST says whom")
    serve.add_argument("--rest-busy", type=float, default=0.0, help="share of REST requests answered 429")
    serve.add_argument("--calls-per-second", type=float, default=1.0, help="calls created over REST; 0: no limit")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
