"""The servers behind a gateway: each is a link whose `run` keeps it, until it is cancelled.

due.py           when a link is to be started
starting.py      how many servers may start at once
stdio.py         a server's process
words.py         what it says on standard error
address.py       where a server on the network is, and what may be sent there
connecting.py    connections to it
reaching.py      one request and its reply, part by part
failures.py      what can go wrong with that, and what the server may have done
auth.py          credentials that are renewed: OAuth
tokens.py        where they are kept
login.py         logging in by hand
events.py        server-sent events
headers.py       what requests of the stateless era say in headers
exchange.py      one message of ours, and all that the server sends because of it
tools.py         our own look at the tools, for their headers
posting.py       the order in which messages go out
remote.py        what links over the network have in common
listening.py     what a server says on its own account
http.py          a Streamable HTTP server, in both eras
sse.py           a server of the older HTTP transport
meeting.py       meeting a server on the network for its own sake
"""
