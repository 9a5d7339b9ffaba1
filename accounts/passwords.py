"""Password hashes: argon2id, in two threads of their own, so that a log-in storm takes neither the event loop nor the machine.

Nothing is truncated: the whole text counts, after NFKC, so that one password typed on two keyboards is one password.
"""

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

T = TypeVar("T")

# 32 MiB and two passes: some 40 ms. Above OWASP's minimum (19 MiB, 2 passes).
HASHER: Final = PasswordHasher(time_cost=2, memory_cost=32 * 1024, parallelism=1, type=Type.ID)

NOBODY: Final = "$argon2id$v=19$m=32768,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
"""Verified for unknown users, so that they take as long as known ones. No password has this hash."""

_THREADS: Final = ThreadPoolExecutor(2, thread_name_prefix="argon2")


async def hash_password(password: str) -> str:
    return await _in_thread(lambda: HASHER.hash(_bytes(password)))


async def is_right(password_hash: str | None, password: str) -> bool:
    """Compare, in the same time for a user without password (or no user at all: pass None)."""
    return await _in_thread(lambda: _verify(password_hash or NOBODY, password)) and password_hash is not None


def is_outdated(password_hash: str) -> bool:
    """Made with other parameters than today's: hash again at the next log-in."""
    return HASHER.check_needs_rehash(password_hash)


def _verify(password_hash: str, password: str) -> bool:
    try:
        return HASHER.verify(password_hash, _bytes(password))
    except (VerificationError, InvalidHashError):
        return False


def _bytes(password: str) -> bytes:
    return unicodedata.normalize("NFKC", password).encode()


async def _in_thread(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_THREADS, work)
