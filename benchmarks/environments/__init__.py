"""The paper's environments through the real proxy: real server processes, real time, its figures beside ours.

    running    an agent at a server, directly or through `spec-mcp wrap`; what it saw, and what the store says
    repeating  the arms in turn, several times, and what must be the same in all of them
    reporting  medians and spread beside the paper's figures: tables, JSON, options of the command line

An agent is an async function over an `AgentSession`. It knows nothing of speculation: the same function runs in every
arm, and what it called and was answered must be the same in all of them, as must the server's final state.
"""
