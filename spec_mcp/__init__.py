"""spec-mcp sits between an MCP client and its servers and makes the client's next tool calls ahead of time.

Words
    client        the MCP client in front of us
    server        a downstream MCP server that we wrap
    call          a `tools/call` that the client made: the truth
    speculation   a call that we made first, on a prediction; it has one state (`engine/states.py`)
    candidate     a predicted call with its probability of use, before the policy admits or skips it
    effect        what a tool does to the world: read, reversible, unsafe; an unlisted tool is unsafe
    resource      a name pattern that a tool touches; two calls conflict when theirs overlap and one of them writes
    adopt         use a speculation's result for a call; discard: drop it
    hit           the call found the result ready; join: it waited for the rest; miss: it found nothing
    lead          the time from launching a speculation to the call that uses it
    waste         a speculation that no call used
    shadow mode   speculate and compare, but always answer with the real call
    check         an adopted call made again when nobody waits, to compare; demote: speculate no more what differed

The way of one call
    relay/bridge     reads the client's line and tells the engine: `CallArrived`
    engine/engine    the result is held: `Reply`; it is on its way: join; else: `Invoke`, and a write spoils first
    relay/bridge     sends the client's own line on, or splices the held result under the call's id
    relay/learning   when all is quiet, asks the predictor: `Predict`, `Predicted`
    engine/admission admits or skips each candidate, with a reason
    relay/bridge     makes the admitted calls under ids of its own: `Launch`, and holds what comes back
    store/recorder   takes note of it all, off this thread

`engine` decides and does no I/O; `predict` guesses and does none either; `relay` does all of it. Imports go one way.
"""
