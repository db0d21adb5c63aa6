"""The tables of the board, as a step of the migrations.

Only the list of replicas survives a crash of the server: who is on it may be writing. The rest is emptied then, the row
of `board_life` with it, and with that every membership is void.
"""

from __future__ import annotations

from typing import Final

BOARD: Final = """
    CREATE SEQUENCE board_numbers;
    CREATE UNLOGGED TABLE board_life (one boolean PRIMARY KEY DEFAULT true CHECK (one), life uuid NOT NULL);
    CREATE TABLE replicas (
        replica text COLLATE "C" PRIMARY KEY,
        host text NOT NULL,
        pid bigint NOT NULL,
        started text NOT NULL,
        fence bigint NOT NULL UNIQUE,
        life uuid NOT NULL,
        is_active boolean NOT NULL DEFAULT false,
        lease_s double precision NOT NULL,
        renewed_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL
    ) WITH (fillfactor = 50);
    CREATE UNLOGGED TABLE postings (
        number bigint PRIMARY KEY DEFAULT nextval('board_numbers'),
        fence bigint NOT NULL,
        post bigint,
        footprint text NOT NULL,
        tokens text[] COLLATE "C" NOT NULL,
        writes boolean NOT NULL,
        dies_with_us boolean NOT NULL DEFAULT false,
        closed_no bigint,
        abandoned_at timestamptz
    );
    CREATE INDEX postings_tokens ON postings USING gin (tokens) WITH (fastupdate = off);
    CREATE INDEX postings_open ON postings (fence, post) WHERE closed_no IS NULL;
    CREATE INDEX postings_closed ON postings (closed_no) WHERE closed_no IS NOT NULL;
    CREATE INDEX postings_abandoned ON postings (abandoned_at) WHERE abandoned_at IS NOT NULL;
    CREATE UNLOGGED TABLE offers (
        offer bigint PRIMARY KEY DEFAULT nextval('board_numbers'),
        fence bigint NOT NULL,
        digest text NOT NULL,
        footprint text NOT NULL,
        tokens text[] COLLATE "C" NOT NULL,
        probes text[] COLLATE "C" NOT NULL,
        ttl_s double precision,
        may_be_overtaken boolean NOT NULL,
        launched_at timestamptz NOT NULL,
        fate text NOT NULL DEFAULT 'running',
        returned_no bigint,
        result bytea
    );
"""
