"""Access tokens for the softphone in the desk: identity `agent_<id>`, one hour, only our TwiML App."""

from dataclasses import dataclass
from typing import Final

from core.errors import Unavailable
from core.ids import agent_identity
from cti.signature import TwilioAccount

TTL_S: Final = 3600


@dataclass(frozen=True, slots=True)
class VoiceToken:
    identity: str
    token: str
    ttl_s: int


def voice_token(account: TwilioAccount | None, agent_id: int) -> VoiceToken:
    """Raises Unavailable when the account has no API key or no TwiML App."""
    if account is None or not (account.api_key_sid and account.api_key_secret and account.app_sid):
        raise Unavailable("No telephony account with an API key and a TwiML App is configured.")
    from twilio.jwt.access_token import AccessToken
    from twilio.jwt.access_token.grants import VoiceGrant

    identity = agent_identity(agent_id)
    token = AccessToken(account.sid, account.api_key_sid, account.api_key_secret, identity=identity, ttl=TTL_S)
    token.add_grant(VoiceGrant(outgoing_application_sid=account.app_sid, incoming_allow=False))
    return VoiceToken(identity, token.to_jwt(), TTL_S)
