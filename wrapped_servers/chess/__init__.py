"""Chess as an MCP server: games, the rules, a slow deep look at a position and a quick shallow one.

The rules are python-chess's (`pip install spec-mcp[chess]`), the looks are a UCI engine's, Stockfish where it is found.
"""
