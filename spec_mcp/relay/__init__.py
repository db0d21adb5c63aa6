"""All MCP traffic: lines in, lines out, and the carrying out of the engine's commands.

lines.py         bytes to lines and lines to bytes, without blocking
wire.py          what is read of a line: its envelope and the few members that safety and speculation need
process.py       the server's process: started at once, ended as a group
link.py          one connection to a server: its handshake, its restarts, the requests of our own
stdio.py         the same to a process: its pipes, its end
asked.py         what the client asked and has no answer to
prompts.py       what the server asked of the client
handshake.py     what client and server have said of themselves
identity.py      by what a call is known
bridge.py        lines to events, commands to lines: the way of one call
answering.py     what the client gets: requests sent on or refused, adopted results, errors
speculations.py  the bytes of what was asked in advance, until they are adopted or dropped
speculating.py   the commands that speculate
validators.py    has a file changed?
reversing.py     the commands that make a write early and take it back
asking.py        calls of our own
entries.py       what of such a write stands in the undo journal
disk.py          that journal, our name in it, the right to the server
inheriting.py    what other processes left or do at the server, known before a request goes out
gate.py          requests that wait for that
variables.py     which environment variables tell one server's store from another's
comparing.py     results kept until they are compared
listing.py       our own look at a server's tools
account.py       what record and predictor are told, always after the line has gone on
recording.py     rows for the store
learning.py      what waits until nothing else is to be done: learning and predicting
pump.py          the loop
stopping.py      signals
saying.py        words to the person who reads the log
assembly.py      puts the parts together, and takes them apart
wrap.py          `spec-mcp wrap`
meeting.py       meeting a server for its own sake
recovery.py      taking back what a crash left, without a client
back/            the servers behind a gateway
"""
