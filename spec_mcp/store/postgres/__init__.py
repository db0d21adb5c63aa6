"""The store in a PostgreSQL database, which many machines share: `[store] url = "postgresql://…"`.

A `Database` (connecting.py) is one process's connections to it: opened with bounds on every wait, brought to this
version (migrations.py), and cut and made anew without anybody's doing. All tables lie in the schema `spec_mcp`, so that
the database may serve others too. The board that replicas share (board.py) has a few more (board_tables.py), and one
statement for each of its steps (board_statements.py). The undo journal is there for all machines too (journal.py,
journal_tables.py), though nothing is tried early by it as yet. The driver is the extra `postgres`; nothing here is
imported where no such address is configured.
"""
