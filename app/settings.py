"""All settings, from the environment with prefix RINGDESK_; flags of the command line win. Faults are reported all at once."""

import json
import re
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from core import demo_account
from core.loopback import LOCAL_HOSTS, LOOPBACK
from cti.signature import TwilioAccount
from infra import crashpoints


class Settings(BaseSettings):
    """Unset URLs mean embedded servers, which only `ringdesk up` starts; `web` and `worker` need all three."""

    model_config = SettingsConfigDict(
        env_prefix="RINGDESK_", extra="ignore", str_strip_whitespace=True, hide_input_in_errors=True
    )

    database_url: SecretStr | None = Field(default=None, description="postgresql://…; unset: embedded Postgres")
    redis_url: SecretStr | None = Field(default=None, description="redis://… or unix://…; unset: embedded Valkey")
    rabbitmq_url: SecretStr | None = Field(default=None, description="amqp://…; unset: private node or local broker")
    public_url: str | None = Field(
        default=None,
        description="how browsers and the telephony provider reach the service; signatures are checked against it",
    )
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8080, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="port where a worker serves /metrics, /healthz and /readyz; unset: none",
    )
    data_dir: Path = Field(default=Path(".data"), description="where embedded servers keep their data")
    broker: Literal["auto", "local", "rabbitmq"] = Field(default="auto", description="auto, local or rabbitmq")
    demo: bool = Field(default=False, description="serve the demo: simulator at /demo, demo users with known passwords")
    twilio_api_base: str | None = Field(
        default=None, description="another REST address than Twilio's, for the simulator"
    )
    twilio_accounts: SecretStr | None = Field(
        default=None,
        description='JSON list: [{"sid": "AC…", "auth_tokens": ["…"], "shared_keys": {"id": "secret"}, "api_key_sid": …, '
        '"api_key_secret": …, "app_sid": …}]; unset: the fixed, documented demo account',
    )
    webhook_credentials: SecretStr | None = Field(
        default=None,
        description="name:password that Twilio's webhooks bring as Basic auth besides their signature; unset: the signature alone",
    )
    database_pool: int = Field(default=10, ge=2, le=100, description="connections per process")
    trusted_proxies: str = Field(default="", description="addresses of reverse proxies, comma-separated")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="DEBUG, INFO, WARNING or ERROR"
    )
    log_json: bool = Field(default=True, description="one JSON object per line; off: aligned text")
    keep_events_h: int = Field(default=72, ge=1, description="hours that events and done deliveries are kept")
    keep_webhooks_days: int = Field(default=30, ge=1, description="days that provider webhooks are kept")
    keep_decisions_days: int = Field(default=400, ge=1, description="days that routing decisions are kept")
    keep_voicemails_days: int = Field(
        default=90,
        ge=0,
        description="days after which messages are deleted, here and at the telephony provider; 0 keeps them",
    )
    keep_facts_days: int = Field(
        default=800, ge=30, description="days that calls, stints, offers and intervals are kept"
    )
    keep_figures_days: int = Field(
        default=1100, ge=0, description="days that figures by quarter of an hour are kept; 0 keeps them"
    )
    keep_audit_days: int = Field(default=1100, ge=30, description="days that audit rows are kept")
    keep_tickets_days: int = Field(default=0, ge=0, description="days that closed tickets are kept; 0 keeps them")

    @field_validator("public_url", "twilio_api_base")
    @classmethod
    def _is_http(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        try:
            port = parts.port
        except ValueError:
            port = 0
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
            raise ValueError("must be a http(s) address")
        if info.field_name == "public_url":
            _check_public(parts)
        return value.rstrip("/")

    @field_validator("webhook_credentials")
    @classmethod
    def _fit_into_an_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"[A-Za-z0-9._~-]+:[A-Za-z0-9._~-]{12,}", value.get_secret_value()):
            raise ValueError("must be name:password of letters, digits, . _ ~ and -, the password of at least 12")
        return value

    @field_validator("twilio_accounts")
    @classmethod
    def _are_accounts(cls, value: SecretStr | None) -> SecretStr | None:
        _accounts_in(value)
        return value

    @model_validator(mode="wrap")
    @classmethod
    def _all_faults_at_once(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """What one field says about another is checked also when some third one is at fault."""
        faults: list[tuple[str, str]] = []
        try:
            settings = handler(values)
        except ValidationError as error:
            faults = [(str(item["loc"][0]) if item["loc"] else "", item["msg"]) for item in error.errors()]
            bad = {name for name, _ in faults}
            settings = handler({name: value for name, value in values.items() if name not in bad})
        known = {name for name, _ in faults}
        is_open = settings.host not in LOOPBACK
        if is_open and (settings.demo or settings.twilio_accounts is None) and "twilio_accounts" not in known:
            only_loopback = "with the demo's known passwords and keys only a loopback address is served; "
            faults.append(("host", only_loopback + "set RINGDESK_TWILIO_ACCOUNTS and use --no-demo"))
        public_host = urlsplit(settings.public_url or "").hostname
        if settings.demo and public_host is not None and public_host not in LOOPBACK:
            faults.append(
                (
                    "public_url",
                    "the demo's passwords are known to everybody, so it has no public address; use --no-demo",
                )
            )
        if crashpoints.are_enabled() and (settings.public_url or "").startswith("https:"):
            faults.append(("", f"{crashpoints.VARIABLE} is for tests, which end the service with it; unset it"))
        if faults:
            details = [_fault(name, message) for name, message in faults]
            raise ValidationError.from_exception_data(cls.__name__, details, hide_input=True)
        return settings

    def accounts(self) -> dict[str, TwilioAccount]:
        """Telephony accounts by sid."""
        return _accounts_in(self.twilio_accounts)

    def basic_auth(self) -> tuple[str, str] | None:
        """Name and password of the webhooks."""
        name, _, password = (self.secret("webhook_credentials") or "").partition(":")
        return (name, password) if name else None

    def secret(self, name: str) -> str | None:
        value: SecretStr | None = getattr(self, name)
        return None if value is None else value.get_secret_value()


def _fault(name: str, message: str) -> InitErrorDetails:
    return InitErrorDetails(
        type=PydanticCustomError("setting", "{message}", {"message": message.removeprefix("Value error, ")}),
        loc=(name,) if name else (),
        input=None,
    )


def _check_public(parts: SplitResult) -> None:
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username:
        raise ValueError("must be scheme, host and port only, such as https://desk.example.com")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    if parts.scheme == "http" and host not in LOCAL_HOSTS:
        raise ValueError("http is only for 127.0.0.1, localhost and [::1]; use https")


def _accounts_in(value: SecretStr | None) -> dict[str, TwilioAccount]:
    """Raises ValueError that names the fault, never the secret."""
    if value is None:
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
        documents = json.loads(value.get_secret_value())
    except (json.JSONDecodeError, RecursionError):
        raise ValueError("is not JSON") from None
    if not isinstance(documents, list) or not documents:
        raise ValueError("must be a list with at least one account")
    return {account.sid: account for account in map(_account, documents)}


def _account(document: Any) -> TwilioAccount:
    if not isinstance(document, dict):
        raise ValueError("each account is an object")
    sid, tokens = document.get("sid"), document.get("auth_tokens")
    if not isinstance(sid, str) or re.fullmatch(r"AC[0-9a-fA-F]{32}", sid) is None:
        raise ValueError("sid must be AC and 32 hex digits")
    if not isinstance(tokens, list) or not 1 <= len(tokens) <= 2 or not all(isinstance(t, str) and t for t in tokens):
        raise ValueError("auth_tokens must be a list of one or two tokens")
    known = {"sid", "auth_tokens", "shared_keys", "api_key_sid", "api_key_secret", "app_sid"}
    if unknown := set(document) - known:
        raise ValueError(f"unknown keys {sorted(unknown)}")
    keys = document.get("shared_keys") or {}
    if not isinstance(keys, dict) or not all(isinstance(part, str) and part for pair in keys.items() for part in pair):
        raise ValueError("shared_keys must map ids to secrets")
    for name in ("api_key_sid", "api_key_secret", "app_sid"):
        if not isinstance(document.get(name), str | None):
            raise ValueError(f"{name} must be text")
    return TwilioAccount(
        sid,
        tuple(tokens),
        keys,
        document.get("api_key_sid"),
        document.get("api_key_secret"),
        document.get("app_sid"),
    )
