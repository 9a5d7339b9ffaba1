#!/usr/bin/env python3
"""Write `.env` for docker-compose.yml with fresh random passwords. Standard library only; an existing file is never overwritten.

python3 deploy/make_env.py --public-url https://desk.example.com    then put your Twilio account into .env
python3 deploy/make_env.py --demo                                   everything on this machine, with the simulator
"""

import argparse
import json
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEMO_URL = "http://127.0.0.1:8080"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--public-url", help="the https address that browsers and the telephony provider use")
    kind.add_argument("--demo", action="store_true", help="a simulated provider, this machine only")
    parser.add_argument("--file", type=Path, default=ROOT / ".env")
    options = parser.parse_args(argv)
    text = demo_lines() if options.demo else lines(options.public_url)
    try:
        with open(options.file, "x", opener=lambda name, flags: os.open(name, flags, mode=0o600)) as file:
            file.write(text)
    except FileExistsError:
        sys.stderr.write(f"{options.file} exists; its passwords are those of the running databases, so it is kept.\n")
        return 1
    sys.stdout.write(f"{options.file} written, readable by you only\n")
    return 0


def lines(public_url: str) -> str:
    return _passwords() + (
        f"RINGDESK_PUBLIC_URL={public_url}\n"
        "# From the provider's console; without it compose stops and says so.\n"
        '# RINGDESK_TWILIO_ACCOUNTS=\'[{"sid": "AC…", "auth_tokens": ["…"], "api_key_sid": "SK…", "api_key_secret": "…", "app_sid": "AP…"}]\'\n'
    )


def demo_lines() -> str:
    account = {
        "sid": "AC" + secrets.token_hex(16),
        "auth_tokens": [secrets.token_hex(16)],
        "api_key_sid": "SK" + secrets.token_hex(16),
        "api_key_secret": secrets.token_hex(16),
        "app_sid": "AP" + secrets.token_hex(16),
    }
    return _passwords() + (
        f"RINGDESK_PUBLIC_URL={DEMO_URL}\n"
        f"RINGDESK_TWILIO_ACCOUNTS='{json.dumps([account])}'\n"
        "RINGDESK_TWILIO_API_BASE=http://simulator:8081/twilio\n"
        "COMPOSE_PROFILES=demo\n"
    )


def _passwords() -> str:
    """Hex only: they become parts of addresses."""
    return "".join(f"{name}_PASSWORD={secrets.token_hex(24)}\n" for name in ("POSTGRES", "VALKEY", "RABBITMQ"))


if __name__ == "__main__":
    sys.exit(main())
