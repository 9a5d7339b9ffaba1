"""The names of this machine itself, which nobody else can reach."""

from typing import Final

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
"""As addresses to listen on."""
LOCAL_HOSTS: Final = ("127.0.0.1", "localhost", "[::1]")
"""As URLs spell them."""
