"""Articles: made up by seed, found by title and by words, read from a dump, asked of a live wiki."""

from __future__ import annotations

import bz2
import json
import sys
import threading
import tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from urllib.parse import parse_qs, urlparse

import anyio
import pytest

from wrapped_servers.wiki.article import Article, SourceError, links_in, sentences
from wrapped_servers.wiki.corpus import Corpus, CorpusError, build
from wrapped_servers.wiki.dump import Dump, DumpError
from wrapped_servers.wiki.markup import MissingParser, plain
from wrapped_servers.wiki.mediawiki import USER_AGENT, MediaWiki
from wrapped_servers.wiki.tools import lookup, search
from wrapped_servers.wiki.world import Kind, make_world
from wrapped_servers.wiki.writing import write

pytestmark = pytest.mark.anyio

ARTICLES = [
    Article("Ada Holt", "Ada Holt is a painter. She was born in Torburg.\nShe moved often.", ("Torburg",)),
    Article("Torburg", "Torburg is a city in Ulania. Its river is long.", ("Ulania",)),
    Article("Ulania", "Ulania is a country."),
]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def corpus():
    made = Corpus.in_memory(ARTICLES)
    yield made
    made.close()


# --- sentences and links --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("J. R. Holt wrote it. It sold.", ["J. R. Holt wrote it.", "It sold."]),
        ("It cost 3.5 crowns. Dr. Ada paid.", ["It cost 3.5 crowns.", "Dr. Ada paid."]),
        ("A line\n\nanother line.", ["A line", "another line."]),
        ("", []),
    ],
)
async def test_text_is_split_into_sentences(text, expected):
    assert sentences(text) == expected


async def test_links_come_in_the_order_of_the_text_and_without_their_brackets():
    found = links_in("He met The Tide, then Ada.", ["Ada", "The Tide (film)", "Nobody", "Ada"])
    assert found == ["The Tide (film)", "Ada"]


# --- the made-up world ----------------------------------------------------------------------------------------------


async def test_the_same_seed_writes_the_same_encyclopaedia_and_another_another():
    first, again, other = ([*write(make_world(seed), seed)] for seed in (3, 3, 4))
    assert first == again
    assert first != other


async def test_every_fact_is_said_in_the_article_that_links_to_it():
    world = make_world(0)
    articles = {article.title: article for article in write(world, 0)}
    late = 0
    for kind in Kind:
        for thing in world[kind]:
            article = articles[thing.title]
            for fact in thing.facts.values():
                assert fact.title in article.text
                assert fact.title in article.links
                late += fact.title not in " ".join(sentences(article.text)[:5])
            assert all(str(number) in article.text for number in thing.figures.values())
    assert late > 100, "a search alone must not answer everything"


async def test_what_several_things_are_called_is_an_article_that_says_which():
    world = make_world(0)
    articles = {article.title: article for article in write(world, 0)}
    thing = next(thing for thing in world[Kind.FILM] if thing.title != thing.name)
    assert thing.title in articles[thing.name].links
    assert len(articles) == sum(map(len, world.values())) + len(
        [title for title in articles if "may mean" in articles[title].text]
    )


# --- the corpus -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("title", ["Ada Holt", "ada holt", "  ADA   HOLT ", "Ada_Holt"])
async def test_a_title_is_found_however_it_is_written_and_the_answer_is_the_same(corpus, title):
    assert await search(corpus, title) == {
        "title": "Ada Holt",
        "text": "Ada Holt is a painter. She was born in Torburg. She moved often.",
        "links": ["Torburg"],
        "similar": [],
    }


async def test_what_is_no_title_finds_what_comes_near(corpus):
    found = await search(corpus, 'city "Torburg" (x)')
    assert found["title"] is None
    assert found["similar"][0] == "Torburg"
    assert (await search(corpus, '"?*'))["similar"] == []


async def test_a_lookup_needs_no_memory_of_the_last_one(corpus):
    first = await lookup(corpus, "ada holt", " SHE ")
    second = await lookup(corpus, "Ada Holt", "she", 2)
    assert first == {"text": "She was born in Torburg.", "found": 2, "next": 2, "links": ["Torburg"]}
    assert second == {"text": "She moved often.", "found": 2, "next": None, "links": []}
    assert await lookup(corpus, "Ada Holt", "she") == first
    assert (await lookup(corpus, "Ada Holt", "she", 3))["text"] == "No more results."


async def test_a_corpus_file_follows_redirects_and_is_kept_where_a_new_one_fails(tmp_path):
    path = tmp_path / "corpus.sqlite3"
    assert build(path, ARTICLES, {"Torborg": "Torburg", "Ulania": "Torburg"}) == 3

    def broken():
        yield ARTICLES[0]
        raise OSError("the disk is gone")

    with pytest.raises(CorpusError, match="the disk is gone"):
        build(path, broken(), {})
    corpus = Corpus.open(path)
    assert (await search(corpus, "torborg"))["title"] == "Torburg"
    assert (await search(corpus, "Ulania"))["title"] == "Ulania", "an article comes before a redirect of its name"
    assert corpus.titles() == ["Ada Holt", "Torburg", "Ulania"]
    corpus.close()
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("content", [None, b"no database at all, but long enough to be read as one"])
async def test_what_is_no_corpus_is_said_to_be_none(tmp_path, content):
    path = tmp_path / "x.sqlite3"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CorpusError, match="make one with --dump"):
        Corpus.open(path)


# --- dumps ----------------------------------------------------------------------------------------------------------

PAGE = "<page><title>{title}</title><ns>{ns}</ns>{redirect}<revision><text>{text}</text></revision></page>"
WIKITEXT = """{{Infobox|name=[[Nobody]]}}
'''Ada Holt''' is a [[painting|painter]]&lt;ref&gt;{{cite|x}} [[Nowhere]]&lt;/ref&gt; from [[torburg#Old town]].
[[File:Ada.png|thumb|Ada in [[Elsewhere]]]]
{| class="x"
| [[Hidden]]
|}
== Life ==
She moved (; ) often.
[[Category:Painters]]"""


def dump_of(*pages: str) -> bytes:
    return f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/">{"".join(pages)}</mediawiki>'.encode()


async def test_a_dump_is_read_into_plain_articles_and_redirects(tmp_path):
    path = tmp_path / "dump.xml.bz2"
    path.write_bytes(
        bz2.compress(
            dump_of(
                PAGE.format(title="Ada Holt", ns=0, redirect="", text=WIKITEXT),
                PAGE.format(title="A. Holt", ns=0, redirect='<redirect title="Ada Holt"/>', text="#REDIRECT"),
                PAGE.format(title="Talk:Ada Holt", ns=1, redirect="", text="talk"),
            )
        )
    )
    dump = Dump(path)
    assert [*dump.articles()] == [
        Article(
            "Ada Holt", "Ada Holt is a painter from torburg#Old town.\nLife\nShe moved often.", ("Painting", "Torburg")
        )
    ]
    assert dump.redirects == {"A. Holt": "Ada Holt"}


async def test_a_dump_is_read_in_little_memory_however_long_it_is(tmp_path):
    path = tmp_path / "dump.xml"
    path.write_bytes(dump_of(*(PAGE.format(title=f"T{n}", ns=0, redirect="", text="x" * 20_000) for n in range(600))))
    import_module("mwparserfromhell")
    tracemalloc.start()
    try:
        assert sum(1 for _ in Dump(path).articles()) == 600
        assert tracemalloc.get_traced_memory()[1] < 4_000_000, "a third of the file is in memory"
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"<mediawiki><page>", "no element found"), (b"<mediawiki/>", "no article"), (b"", "no element found")],
)
async def test_a_damaged_dump_is_named(tmp_path, content, said):
    path = tmp_path / "dump.xml"
    path.write_bytes(content)
    with pytest.raises(DumpError, match=f"dump.xml: .*{said}"):
        list(Dump(path).articles())
    with pytest.raises(DumpError, match=r"missing\.xml"):
        list(Dump(tmp_path / "missing.xml").articles())


async def test_without_the_parser_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mwparserfromhell", None)
    with pytest.raises(MissingParser, match=r"pip install 'spec-mcp\[wiki\]'"):
        plain("x")


# --- a live wiki ----------------------------------------------------------------------------------------------------


class Api(BaseHTTPRequestHandler):
    """Speaks as MediaWiki's API does, with one link an answer, so that answers have to be continued."""

    def do_GET(self) -> None:
        asked = {name: values[0] for name, values in parse_qs(urlparse(self.path).query).items()}
        assert self.headers["User-Agent"] == USER_AGENT
        assert (asked["action"], asked["formatversion"]) == ("query", "2")
        if "srsearch" in asked:
            said = {"query": {"search": [{"title": "Torburg"}, {"title": "Ulania"}][: int(asked["srlimit"])]}}
        elif asked["titles"] == "broken":
            said = {"error": {"code": "readonly", "info": "The wiki is asleep"}}
        elif asked["titles"].casefold() != "ada holt":
            said = {"query": {"pages": [{"title": asked["titles"], "missing": True}]}}
        elif "plcontinue" in asked:
            said = {"query": {"pages": [{"title": "Ada Holt", "links": [{"title": "Ulania"}]}]}}
        else:
            page = {"title": "Ada Holt", "extract": "Ada Holt is from Torburg.", "links": [{"title": "Torburg"}]}
            said = {"continue": {"plcontinue": "2", "continue": "||"}, "query": {"pages": [page]}}
        body = b"<html>" if asked.get("titles") == "html" else json.dumps(said).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        pass


@pytest.fixture
def api():
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/w/api.php"
        server.shutdown()
        thread.join()


async def test_a_live_wiki_is_searched_like_a_corpus(api):
    with anyio.fail_after(30):
        async with MediaWiki(api) as wiki:
            article = await wiki.article(" Ada Holt ")
            assert article == Article("Ada Holt", "Ada Holt is from Torburg.", ("Torburg", "Ulania"))
            assert (await search(wiki, "Ada Holt"))["links"] == ["Torburg"]
            assert (await search(wiki, "torb"))["similar"] == ["Torburg", "Ulania"]
            assert await wiki.article(" ") is None


@pytest.mark.parametrize(("title", "said"), [("broken", "asleep"), ("html", "JSON")])
async def test_what_a_live_wiki_says_wrongly_is_an_error_of_the_call(api, title, said):
    with anyio.fail_after(30):
        async with MediaWiki(api) as wiki:
            with pytest.raises(SourceError, match=said):
                await wiki.article(title)
        async with MediaWiki("http://127.0.0.1:9/api.php") as nobody:
            with pytest.raises(SourceError, match="127"):
                await nobody.article("x")
