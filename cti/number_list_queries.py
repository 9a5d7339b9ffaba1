"""SQL of a list of numbers: the same statements for each of its tables."""

from dataclasses import dataclass
from typing import Final

_COLUMNS: Final = "id, number, reason, added_by, added_at, expires_at"


@dataclass(frozen=True, slots=True)
class Statements:
    reason: str
    """Why one of these numbers is on the list now."""
    add: str
    remove: str
    page: str
    by_number: str


def statements_of(table: str) -> Statements:
    return Statements(
        reason=f"SELECT reason FROM {table} WHERE number = ANY($1) AND (expires_at IS NULL OR expires_at > $2) LIMIT 1",
        add=f"""
INSERT INTO {table} (number, reason, added_by, added_at, expires_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (number) DO UPDATE SET reason = excluded.reason, added_by = excluded.added_by, added_at = excluded.added_at, expires_at = excluded.expires_at
RETURNING {_COLUMNS}
""",
        remove=f"DELETE FROM {table} WHERE id = $1 RETURNING number, reason",
        page=f"""
SELECT {_COLUMNS} FROM {table}
WHERE ($1::bigint IS NULL OR id < $1) AND ($3::text IS NULL OR position($3 IN lower(number)) > 0) ORDER BY id DESC LIMIT $2
""",
        by_number=f"SELECT id FROM {table} WHERE number = $1",
    )


BLOCKED: Final = statements_of("blocked_numbers")
DO_NOT_CALL: Final = statements_of("do_not_call")
