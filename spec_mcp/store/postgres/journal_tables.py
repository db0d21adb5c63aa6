"""The tables of the undo journal, as a step of the migrations."""

from __future__ import annotations

from typing import Final

JOURNAL: Final = """
    CREATE TABLE owners (owner text COLLATE "C" PRIMARY KEY, expires_at timestamptz NOT NULL);
    CREATE TABLE undos (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id text COLLATE "C" NOT NULL UNIQUE,
        owner text COLLATE "C" NOT NULL,
        fence bigint NOT NULL DEFAULT 0,
        instance text COLLATE "C" NOT NULL,
        server text NOT NULL,
        launch bytea NOT NULL,
        principal text NOT NULL,
        session text NOT NULL,
        tool text NOT NULL,
        arguments bytea NOT NULL,
        reversal bytea NOT NULL,
        before bytea,
        outcome text NOT NULL,
        result bytea,
        "left" text NOT NULL,
        state text NOT NULL,
        undo_sent bigint NOT NULL,
        reason text NOT NULL,
        made_at double precision NOT NULL,
        changed_at double precision NOT NULL
    );
    CREATE INDEX undos_by_instance ON undos (instance);
"""
