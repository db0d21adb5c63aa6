"""A shop's customer service as an MCP server: `python -m wrapped_servers.retail`.

The tools have the names, arguments, results and error texts of the retail domain of τ-bench; the code, and the shop
that it serves by itself, are ours. Nothing here knows of spec-mcp.

    model      what users, orders and products look like
    generator  a seeded shop
    database   the three tables, in SQLite; writes are atomic
    arithmetic what `calculate` computes
    shop       what each tool does
    catalogue  what each tool is called and takes
    server     MCP: latencies, the server's own log, answers
"""
