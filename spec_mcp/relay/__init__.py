"""All MCP traffic: lines in, lines out, and the carrying out of the engine's commands.

lines.py     bytes to lines and lines to bytes, without blocking
wire.py      what is read of a line: its envelope and the few members that safety and speculation need
process.py   the server's process: started at once, ended as a group
link.py      one connection to a server: its handshake, its restarts, the requests of our own
bridge.py    lines to events, commands to lines
learning.py  what waits until nothing else is to be done: learning, predicting, recording
pump.py      the loop
wrap.py      `spec-mcp wrap`
meeting.py   a server met for its own sake: its name and its tools, for the commands that look at it
"""
