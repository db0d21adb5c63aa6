"""`python -m wrapped_servers.wiki`: the encyclopaedia over stdio, and making a corpus of a dump."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

import anyio

from wrapped_servers import latency
from wrapped_servers.latency import Latency
from wrapped_servers.serving import serve
from wrapped_servers.wiki.article import Source
from wrapped_servers.wiki.corpus import Corpus, CorpusError, build
from wrapped_servers.wiki.dump import Dump, DumpError
from wrapped_servers.wiki.markup import MissingParser
from wrapped_servers.wiki.mediawiki import MediaWiki
from wrapped_servers.wiki.server import LIVE_NAME, Wiki, WriteDown, make_server
from wrapped_servers.wiki.tools import TOOLS
from wrapped_servers.wiki.world import make_world
from wrapped_servers.wiki.writing import write


def main() -> int:
    """Returns the exit status: 0, 1 when there is nothing to serve, 2 on bad usage."""
    parser = _parser()
    options = parser.parse_args()
    if options.dump is not None and options.corpus is None:
        parser.error("--dump needs --corpus FILE, where the articles are kept")
    try:
        if options.dump is not None:
            dump = Dump(options.dump, options.limit)
            count = build(options.corpus, dump.articles(), dump.redirects)
            print(f"wiki: {count} articles in {options.corpus}", file=sys.stderr)  # noqa: T201
            return 0
        with ExitStack() as stack:
            # line buffering: a line is whole in the file before its call is answered
            log = stack.enter_context(options.answers.open("a", buffering=1)) if options.answers else None
            write_down: WriteDown | None = log.write if log else None
            if options.mediawiki is not None:
                anyio.run(_serve_live, options.mediawiki, write_down, latency.chosen(options))
            else:
                corpus = _corpus(options.corpus, options.seed)
                stack.callback(corpus.close)
                anyio.run(serve, make_server(Wiki(corpus, write_down), latency.chosen(options)))
    except (CorpusError, DumpError, MissingParser, OSError) as error:
        print(f"wiki: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _corpus(path: Path | None, seed: int) -> Corpus:
    return Corpus.in_memory(write(make_world(seed), seed)) if path is None else Corpus.open(path)


async def _serve_live(url: str, write_down: WriteDown | None, latency: Latency) -> None:
    async with MediaWiki(url) as wiki:
        source: Source = wiki
        await serve(make_server(Wiki(source, write_down), latency, LIVE_NAME))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m wrapped_servers.wiki", description="An encyclopaedia as an MCP server over stdio."
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--seed", type=int, default=0, help="which made-up encyclopaedia to serve (default 0)")
    where.add_argument("--corpus", type=Path, metavar="FILE", help="serve the articles in FILE, made by --dump")
    where.add_argument(
        "--mediawiki", metavar="URL", help="serve a live wiki, such as https://en.wikipedia.org/w/api.php"
    )
    parser.add_argument(
        "--dump", type=Path, metavar="FILE", help="make --corpus of a Wikipedia dump (.xml, .xml.bz2) and end"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N articles of the dump")
    parser.add_argument("--answers", type=Path, metavar="FILE", help="append a line of JSON for each answer given")
    latency.add_options(parser, TOOLS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
