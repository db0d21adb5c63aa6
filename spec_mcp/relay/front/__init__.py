"""What clients of the gateway talk to: standard input and output, or Streamable HTTP.

Over HTTP, in the order in which a request meets them
    serve, connection   uvicorn within the caller's tasks; patience that ends
    app                 the paths, and one boundary for what goes wrong
    http                a request's headers and body, and the ways to answer it
    hosts, door         is it meant for us, and whose is it? (tokens and keys: an issuer's; forwarding: its own headers)
    messages            what it says, as lines that go on as they came
    sessions            all clients that are here, and when they are forgotten
    handshake           a client with a session: which of its streams hears what
    modern, stateless   a client without one: headers against body, ids of our own (splice), conversations
    returning           to which of these it comes back with what it was asked for
    stream, saying      what is said to a client, as plain JSON or as events that can be read again
    settings            who may come in; sdk: all that is taken from the SDK
"""
