"""Clients' own configurations: putting spec-mcp in front of the servers that they name, and taking it out again.

    places         which clients there are, and where each keeps its file
    tree           a file as a tree that knows where each part stands in the text; `jsonc` and `tomls` make it
    editing        small changes to that text, in the style of their neighbours
    entries        what an entry says: a program to start, a server to reach, or something of ours
    wrapping       one entry with spec-mcp in front; `gateway`: one `spec-mcp run` in the place of many
    ledger         what was put where, so that exactly that can be taken out; `unwrapping` does it
    plans          what becomes of a whole file, decided by `installing` and `uninstalling`
    program        how this very spec-mcp is started by a client
    hiding         a file as it may be shown
    files          reading and replacing files; the only module but `ledger` that does

A file is never written anew from its values. A plan is the old text with a few stretches changed; each such stretch is
remembered with the text that stood there, and nothing else of the file may mean something different afterwards.
"""
