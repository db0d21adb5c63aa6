"""An encyclopaedia as an MCP server: `python -m wrapped_servers.wiki`.

It searches, looks words up in an article, and takes an answer: the tools of the ReAct agents that answer questions
over several hops. ReAct's own Lookup walks on from where the last one stopped, in the page that was searched last: a
cursor for each connection, which nobody may call early. Here a lookup says itself which article, which word and which
occurrence, so that it is a read like any other. Nothing here knows of spec-mcp.

    world      a made-up world by seed: people, towns, bands, what they have to do with each other
    writing    the articles of that world
    article    what an article is, its sentences and links
    corpus     articles in SQLite, found by title and by words (FTS5)
    markup     wikitext as plain text and links
    dump       a Wikipedia dump, read as a stream into a corpus
    mediawiki  a live wiki, asked by its API
    tools      what each tool answers
    server     MCP: latencies, the server's own log
"""
