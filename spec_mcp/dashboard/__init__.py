"""The web page over the store: what happens, what it saves and wastes, and what waits for a person.

    reading      one read-only connection to the store; nothing here ever holds up a call
    figures, sessions, predictions, comparisons, undos, coverage    what the pages show, as plain values
    reviewing    a manifest as a person has reviewed it on the page
    programs     what takes a processor or a server is a process of its own: `tune`, `recover`
    guard        whose request is answered: the address is a secret, other pages may not ask
    live         tells the page that something has changed
    app          all of it over HTTP (ASGI); `serve` puts it on a socket of this machine

The page itself is in `static`: modules that a browser runs as they are, without anything from elsewhere.
It only reads. What it changes is a manifest of the user's own, on a click, and entries of the undo journal, which it
closes as `recover --forget` does, or has `recover` settle.
"""

from spec_mcp.dashboard.app import Dashboard
from spec_mcp.dashboard.place import Place

__all__ = ["Dashboard", "Place"]
