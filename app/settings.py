"""All settings, from the environment with prefix RINGDESK_; flags of the command line win. Faults are reported all at once."""

import json
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core import demo_account
from cti.signature import TwilioAccount
from infra.http import LOCAL_HOSTS


class Settings(BaseSettings):
    """Unset URLs mean embedded servers, which only `ringdesk up` starts; `web` and `worker` need all three."""

    model_config = SettingsConfigDict(env_prefix="RINGDESK_", extra="ignore", str_strip_whitespace=True)

    database_url: SecretStr | None = Field(default=None, description="postgresql://…; unset: embedded Postgres")
    redis_url: SecretStr | None = Field(default=None, description="redis://… or unix://…; unset: embedded Valkey")
    rabbitmq_url: SecretStr | None = Field(default=None, description="amqp://…; unset: private node or local broker")
    public_url: str | None = Field(
        default=None,
        description="how browsers and the telephony provider reach the service; signatures are checked against it",
    )
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8080, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    data_dir: Path = Field(default=Path(".data"), description="where embedded servers keep their data")
    broker: str = Field(default="auto", pattern="^(auto|local|rabbitmq)$", description="auto, local or rabbitmq")
    demo: bool = Field(default=False, description="serve the demo: simulator at /demo, demo users with known passwords")
    twilio_api_base: str | None = Field(
        default=None, description="another REST address than Twilio's, for the simulator"
    )
    twilio_accounts: SecretStr | None = Field(
        default=None,
        description='JSON list: [{"sid": "AC…", "auth_tokens": ["…"], "shared_keys": {"id": "secret"}, "api_key_sid": …, '
        '"api_key_secret": …, "app_sid": …}]; unset: the fixed, documented demo account',
    )
    database_pool: int = Field(default=10, ge=2, le=100, description="connections per process")
    trusted_proxies: str = Field(default="", description="addresses of reverse proxies, comma-separated")
    log_level: str = Field(
        default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="DEBUG, INFO, WARNING or ERROR"
    )
    log_json: bool = Field(default=True, description="one JSON object per line; off: aligned text")
    keep_events_h: int = Field(default=72, ge=1, description="hours that events and done deliveries are kept")
    keep_webhooks_days: int = Field(default=30, ge=1, description="days that provider webhooks are kept")
    keep_decisions_days: int = Field(default=400, ge=1, description="days that routing decisions are kept")
    keep_facts_days: int = Field(
        default=800, ge=30, description="days that calls, stints, offers and intervals are kept"
    )
    keep_audit_days: int = Field(default=1100, ge=30, description="days that audit rows are kept")
    keep_tickets_days: int = Field(default=0, ge=0, description="days that closed tickets are kept; 0 keeps them")

    @field_validator("public_url", "twilio_api_base")
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        if value is not None:
            parts = urlsplit(value)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("must be a http(s) address")
            return value.rstrip("/")
        return value

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        faults = []
        if self.public_url is not None:
            parts = urlsplit(self.public_url)
            host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
            if parts.scheme == "http" and host not in LOCAL_HOSTS:
                faults.append("public_url: http is only for 127.0.0.1, localhost and [::1]; use https")
        try:
            self.accounts()
        except ValueError as error:
            faults.append(f"twilio_accounts: {error}")
        if (self.demo or self.twilio_accounts is None) and self.host not in ("127.0.0.1", "localhost", "::1"):
            faults.append(
                "host: with the demo's known passwords and keys only a loopback address is served; "
                "set RINGDESK_TWILIO_ACCOUNTS and use --no-demo"
            )
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def accounts(self) -> dict[str, TwilioAccount]:
        """Telephony accounts by sid. Raises ValueError that names the field, never the secret."""
        if self.twilio_accounts is None:
            demo = TwilioAccount(
                demo_account.ACCOUNT_SID,
                (demo_account.AUTH_TOKEN,),
                {},
                demo_account.API_KEY_SID,
                demo_account.API_KEY_SECRET,
                demo_account.APP_SID,
            )
            return {demo.sid: demo}
        try:
            documents = json.loads(self.twilio_accounts.get_secret_value())
        except json.JSONDecodeError:
            raise ValueError("is not JSON") from None
        if not isinstance(documents, list) or not documents:
            raise ValueError("must be a list with at least one account")
        return {account.sid: account for account in map(_account, documents)}

    def secret(self, name: str) -> str | None:
        value: SecretStr | None = getattr(self, name)
        return None if value is None else value.get_secret_value()


def _account(document: Any) -> TwilioAccount:
    if not isinstance(document, dict):
        raise ValueError("each account is an object")
    sid, tokens = document.get("sid"), document.get("auth_tokens")
    if not isinstance(sid, str) or not sid.startswith("AC") or len(sid) != 34:
        raise ValueError("sid must be AC and 32 hex digits")
    if not isinstance(tokens, list) or not 1 <= len(tokens) <= 2 or not all(isinstance(t, str) and t for t in tokens):
        raise ValueError("auth_tokens must be a list of one or two tokens")
    known = {"sid", "auth_tokens", "shared_keys", "api_key_sid", "api_key_secret", "app_sid"}
    if unknown := set(document) - known:
        raise ValueError(f"unknown keys {sorted(unknown)}")
    return TwilioAccount(
        sid,
        tuple(tokens),
        document.get("shared_keys") or {},
        document.get("api_key_sid"),
        document.get("api_key_secret"),
        document.get("app_sid"),
    )
