-- migrate:up
SET lock_timeout = '5s';

-- Who has which ticket or customer on the screen: one row per socket, gone with it, or with its lease when the process died.
CREATE TABLE desk_viewings (
    replica     text NOT NULL,
    sid         text NOT NULL,
    user_id     bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    kind        text NOT NULL CHECK (kind IN ('ticket', 'customer')),
    object_id   bigint NOT NULL,
    is_editing  boolean NOT NULL DEFAULT false,
    since       timestamptz NOT NULL,
    lease_until timestamptz NOT NULL,
    PRIMARY KEY (replica, sid)
) WITH (fillfactor = 50);
CREATE INDEX desk_viewings_object ON desk_viewings (kind, object_id);
CREATE INDEX desk_viewings_lease ON desk_viewings (lease_until);

-- A list of tickets with a name. `query` is what the address of the list holds.
CREATE TABLE ticket_views (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner_id   bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 60),
    query      jsonb NOT NULL,
    is_shared  boolean NOT NULL DEFAULT false,
    version    integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT ticket_views_name_key UNIQUE (owner_id, name)
);
CREATE INDEX ticket_views_shared ON ticket_views (id) WHERE is_shared;

-- What many tickets were before they were changed together, so that it can be taken back.
CREATE TABLE ticket_bulk_acts (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    actor_id  bigint NOT NULL REFERENCES users,
    at        timestamptz NOT NULL,
    undone_at timestamptz,
    rows      jsonb NOT NULL
);
CREATE INDEX ticket_bulk_acts_at ON ticket_bulk_acts (at);

-- Notes as they are searched, in the form of customers.model.search_form; apart from the notes, as ticket_search is from the tickets.
CREATE TABLE ticket_note_search (
    note_id   bigint PRIMARY KEY REFERENCES ticket_notes ON DELETE CASCADE,
    ticket_id bigint NOT NULL REFERENCES tickets ON DELETE CASCADE,
    body      text NOT NULL
);
-- Those that exist: lower case, no accents, `u` and five hex digits for what is not ASCII. New ones are written by the service.
INSERT INTO ticket_note_search (note_id, ticket_id, body)
SELECT n.id, n.ticket_id, coalesce((
    SELECT string_agg(CASE WHEN ascii(c.letter) < 128 THEN c.letter ELSE 'u' || lpad(to_hex(ascii(c.letter)), 5, '0') END, '' ORDER BY c.place)
    FROM regexp_split_to_table(normalize(replace(lower(n.body), 'ß', 'ss'), NFKD), '') WITH ORDINALITY AS c (letter, place)
    WHERE ascii(c.letter) NOT BETWEEN 768 AND 879), '')
FROM ticket_notes n;
CREATE INDEX ticket_note_search_ticket ON ticket_note_search (ticket_id);
CREATE INDEX ticket_note_search_body ON ticket_note_search USING gin (body gin_trgm_ops);

-- Filters of the list. Priorities that are not the common one, and tags; each walk is as short as that of the other lists.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX tickets_priority ON tickets (priority, updated_at DESC, id DESC) WHERE priority <> 'normal';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX tickets_tags ON tickets USING gin (tags) WHERE tags <> '{}';

-- migrate:down
DROP INDEX tickets_tags, tickets_priority;
DROP TABLE ticket_note_search, ticket_bulk_acts, ticket_views, desk_viewings;
