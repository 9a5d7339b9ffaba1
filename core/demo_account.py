"""The telephony account of the demo: fixed, documented and worth nothing.

Service and simulator both use it when nobody configured a real account. A demo with these values serves loopback
only; a real account is configured with `RINGDESK_TWILIO_ACCOUNTS`.
"""

from typing import Final

ACCOUNT_SID: Final = "AC" + "0" * 28 + "de30"
AUTH_TOKEN: Final = "demo-auth-token-not-a-secret-0000"  # noqa: S105 - published on purpose, see above
API_KEY_SID: Final = "SK" + "0" * 28 + "de30"
API_KEY_SECRET: Final = "demo-api-secret-not-a-secret-00000"  # noqa: S105
APP_SID: Final = "AP" + "0" * 28 + "de30"
PASSWORD: Final = "demo-ringdesk"  # noqa: S105 - of every demo user
