-- migrate:up
SET lock_timeout = '5s';

-- Screens on a wall: whoever has the link sees the figures of the queues, and nothing else. Of the secret only its hash is kept.
CREATE TABLE wallboards (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_hash bytea NOT NULL CONSTRAINT wallboards_hash_key UNIQUE,
    label      text NOT NULL,
    created_by bigint NOT NULL REFERENCES users,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);

-- migrate:down
DROP TABLE wallboards;
