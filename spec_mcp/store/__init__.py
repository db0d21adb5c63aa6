"""Remembers: sessions, calls, speculations and what was learned, in one SQLite file that several processes share.

The relay talks to a `Recorder` (recorder.py), which never blocks the event loop: rows go into a bounded queue, and a
worker thread opens the store (opening.py), leaves out what must not be kept (redaction.py) and writes in batches. The
commands read through a `Store` (store.py). It is one file (sqlite.py) or a PostgreSQL database (postgres/); what both
do is said once (tabled.py), in statements for either (sql.py). The mode switch (mode.py) is a small file beside the
store, or a row of the database. A store that cannot be used costs recording and learning, never a call.

The undo journal (journal.py) lies in the same file. What takes a reversible speculation back is in it before the
launch; a `JournalThread` (journal_thread.py) waits for the disk in the relay's place. Locks on small files beside the
store tell which process an undo belongs to (owners.py) and which has the right to a server instance (instance.py);
markers.py tells a start whether there is anything to settle. A store that cannot be used stops such launches, never a
call.
"""
