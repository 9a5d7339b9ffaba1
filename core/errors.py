"""Business errors. Each class has a stable `code`; the HTTP status and whether a repeat can help follow from its kind.

They are raised in model and service and mapped once: to an RFC 9457 problem in `infra/http.py`, to retry or park in
`infra/outbox.py`. Extra facts go into `fields`, never personal data.
"""

from typing import ClassVar


class RingdeskError(Exception):
    """Base of all expected errors."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something went wrong"
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str = "", **fields: object) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.fields = fields


class Invalid(RingdeskError):
    status, code, title = 422, "invalid", "The request cannot be understood"


class Unauthenticated(RingdeskError):
    status, code, title = 401, "unauthenticated", "Log in first"


class Forbidden(RingdeskError):
    status, code, title = 403, "forbidden", "You may not do this"


class NotFound(RingdeskError):
    status, code, title = 404, "not_found", "There is no such thing"


class Conflict(RingdeskError):
    status, code, title = 409, "conflict", "The state does not allow this"


class VersionConflict(Conflict):
    code, title = "version_conflict", "Somebody else changed this meanwhile"


class RateLimited(RingdeskError):
    status, code, title, retryable = 429, "rate_limited", "Too many requests", True

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"Too many requests; try again in {retry_after_s} s.", retry_after_s=retry_after_s)
        self.retry_after_s = retry_after_s


class Unavailable(RingdeskError):
    status, code, title, retryable = 503, "unavailable", "A part of the service is not reachable", True
