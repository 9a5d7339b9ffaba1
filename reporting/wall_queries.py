"""SQL of wallboards."""

from typing import Final

LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('wallboards', 0))"
COUNT: Final = "SELECT count(*) FROM wallboards WHERE revoked_at IS NULL"
INSERT: Final = """
INSERT INTO wallboards (token_hash, label, created_by, created_at) VALUES ($1, $2, $3, $4) RETURNING id, created_at
"""
REVOKE: Final = "UPDATE wallboards SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL RETURNING label"
EXISTS: Final = "SELECT EXISTS (SELECT 1 FROM wallboards WHERE id = $1)"
WALLBOARDS: Final = """
SELECT w.id, w.label, u.name AS created_by, w.created_at FROM wallboards w JOIN users u ON u.id = w.created_by
WHERE w.revoked_at IS NULL ORDER BY w.id DESC
"""
BY_HASH: Final = "SELECT id FROM wallboards WHERE token_hash = $1 AND revoked_at IS NULL"
