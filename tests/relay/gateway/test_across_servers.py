"""What was read on one server foretells calls on another, and only what may be told to it is."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from benchmarks.gateway.running import OVER_HTTP, gateway, serving
from tests.conformance.fuzzing import Client as HttpClient
from tests.parity.worlds import NODE
from tests.pipes import RawClient, eventually
from tests.relay.gateway.several import Several, table

READS = 'effect = "read"\nexclusive = true\nopen_world = false\n'
TRACKER = f"""
[tools.list_issues]
{READS}touches = ["issue:*"]
[tools.get_issue]
{READS}touches = ["issue:{{number}}"]
[tools.comment]
effect = "unsafe"
touches = ["issue:{{number}}"]
"""


class Office:
    """A tracker whose issues name files, and the files."""

    def __init__(self, folder: Path, **more: str) -> None:
        self.project = folder / "project"
        self.project.mkdir()
        issues: dict[str, Any] = {}
        for number in range(1, 20):
            path = self.project / f"module_{number}.py"
            path.write_text(f"print({number})\n")
            issues[str(number)] = {"number": number, "title": f"It fails, {number}", "file": str(path)}
        lists = {
            state: {"issues": [{"number": number} for number in numbers]}
            for state, numbers in {"open": (17, 18, 19), "closed": (12, 11)}.items()
        }
        tracker = table(
            folder,
            "tracker",
            {
                "list_issues": {"by": "state", "answers": lists},
                "get_issue": {"by": "number", "answers": issues},
                "comment": {"by": "number"},
            },
        )
        files = ["node", str(NODE / "server-filesystem" / "dist" / "index.js"), str(self.project)]
        self.several = Several(folder, {"tracker": tracker, "files": files}, more)
        self.several.manifest("tracker", TRACKER)

    @contextmanager
    def client(self) -> Generator[RawClient]:
        """A session, once both servers may be speculated on."""
        with self.several.client() as client:
            self.several.listed("tracker", "files")
            yield client

    def file(self, number: int) -> str:
        return str(self.project / f"module_{number}.py")

    def looks_at(self, client: RawClient, number: int) -> None:
        """What this user does, again and again."""
        client.call("tracker__get_issue", {"number": number})
        client.call("files__read_text_file", {"path": self.file(number)})

    def early_file(self, number: int) -> None:
        """Wait until the file that an issue names was read early."""
        self.several.wait_early("files", "read_text_file", path=self.file(number))


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_from_the_second_session_on_the_file_that_an_issue_names_is_read_before_the_client_asks(office: Office):
    with office.client() as client:
        for number in (1, 2, 3):
            office.looks_at(client, number)
    with office.client() as client:
        client.call("tracker__get_issue", {"number": 4})
        office.early_file(4)
        answer = client.call("files__read_text_file", {"path": office.file(4)})
        assert answer.text == "print(4)\n"
    assert {"path": office.file(4)} not in office.several.asked("files", "read_text_file")
    stats = office.several.stats()["tools"]["read_text_file"]
    assert stats["hits"] + stats["joins"] >= 1


def test_a_write_to_the_file_drops_it_and_a_write_to_the_tracker_does_not(office: Office):
    with office.client() as client:
        for number in (19, 17, 14):
            office.looks_at(client, number)
        for number in (12, 10):
            client.call("tracker__get_issue", {"number": number})
            office.early_file(number)
        client.call("tracker__comment", {"number": 12})
        client.call("files__write_file", {"path": office.file(10), "content": "changed"})
        kept = client.call("files__read_text_file", {"path": office.file(12)})
        changed = client.call("files__read_text_file", {"path": office.file(10)})
    assert (kept.text, changed.text) == ("print(12)\n", "changed")
    early = office.several.early("files", "read_text_file")
    assert early.count({"path": office.file(12)}) == 1
    assert {"path": office.file(12)} not in office.several.asked("files", "read_text_file")


def test_a_chain_goes_on_across_servers(office: Office):
    """A list, then each issue of it, then its file: the file is read while the issue itself is only foreseen."""
    with office.client() as client:
        client.call("tracker__list_issues", {"state": "open"})
        for number in (17, 18, 19):
            office.looks_at(client, number)
    with office.client() as client:
        client.call("tracker__list_issues", {"state": "closed"})
        office.early_file(12)
    assert {"number": 12} not in office.several.asked("tracker", "get_issue")


# --- whose habits, and whose values -----------------------------------------------------------------------------------


def test_another_principals_habits_are_not_used(tmp_path: Path):
    office = Office(tmp_path, tracker='forward_headers = ["x-user"]')
    several = office.several
    with serving(gateway(several.config, *OVER_HTTP), several.env) as program, ExitStack() as stack:

        def came(user: str) -> Callable[..., Any]:
            http = stack.enter_context(httpx2.Client(timeout=30, headers={"x-user": user}))
            client = HttpClient(http, program.url, user)
            client.connect()
            client.post({"jsonrpc": "2.0", "id": "list", "method": "tools/list"})
            several.listed("tracker", "files")
            return lambda tool, arguments: _post(client, tool, arguments)

        ann, bob = came("ann"), came("bob")
        for number in (19, 17, 14):
            ann("tracker__get_issue", {"number": number})
            ann("files__read_text_file", {"path": office.file(number)})
        for number in (10, 8, 5):
            bob("tracker__get_issue", {"number": number})
            bob("tracker__list_issues", {"state": f"It fails, {number}"})
        bob("tracker__get_issue", {"number": 3})
        several.wait_early("tracker", "list_issues", state="It fails, 3")
        ann("tracker__get_issue", {"number": 12})
        office.early_file(12)
    read_early = [arguments["path"] for arguments in several.early("files", "read_text_file")]
    assert not {office.file(number) for number in (10, 8, 5, 3)} & {*read_early}


def _post(client: HttpClient, tool: str, arguments: Any) -> Any:
    message = {"jsonrpc": "2.0", "id": tool, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
    (answer,) = [said for said in client.post(message).messages() if said.get("id") == tool]
    return answer["result"]


def _knows_files_by_itself(office: Office, client: RawClient, numbers: tuple[int, ...]) -> None:
    """A user who finds files with the file server, and reads about them in the tracker besides."""
    for number in numbers:
        client.call("files__search_files", {"path": str(office.project), "pattern": f"module_{number}.py"})
        client.call("tracker__get_issue", {"number": number})
        client.call("tracker__list_issues", {"state": f"It fails, {number}"})
        client.call("files__read_text_file", {"path": office.file(number)})


@pytest.mark.parametrize("allowed", [False, True])
def test_a_way_that_no_call_has_taken_is_taken_early_only_where_the_user_allows_it(tmp_path: Path, allowed: bool):
    office = Office(tmp_path, files='values_from = ["tracker"]' if allowed else "")
    with office.client() as client:
        _knows_files_by_itself(office, client, (19, 17, 14))
    with office.client() as client:
        client.call("tracker__get_issue", {"number": 12})
        office.several.wait_early("tracker", "list_issues", state="It fails, 12")
        if allowed:
            office.early_file(12)
    told = {"path": office.file(12)} in office.several.early("files", "read_text_file")
    assert told is allowed
    assert ("discloses" in office.several.stats()["skips"]) is not allowed


# --- links that a page would have us follow ---------------------------------------------------------------------------

SECRET = "CU-77120-QX-4411"
GOOD = "https://docs.example.com"
PAGES = """open_world = true
[tools.fetch]
effect = "read"
touches = ["web:{url}"]
ttl_s = 30
hosts = ["docs.example.com"]
open_world_per_minute = 1000
"""
NOTES = (
    f"[tools.get_note]\n{READS}touches = ['note:{{name}}']\n[tools.get_owner]\n{READS}touches = ['owner:{{code}}']\n"
)


class Web:
    """Pages with links, and notes that hold what is nobody else's business."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pages: dict[str, Any] = {}
        self._notes: dict[str, Any] = {}
        self.several = Several(folder, {"pages": self._pages_server(), "notes": self._notes_server()}, {})
        self.several.manifest("pages", PAGES)
        self.several.manifest("notes", NOTES)

    def show(self, url: str, page: Any) -> str:
        """From now on the page is there."""
        self._pages[url] = page
        self._pages_server()
        return url

    def note(self, name: str, text: Any) -> None:
        """From now on the note is there."""
        self._notes[name] = text
        self._notes_server()

    def _pages_server(self) -> list[str]:
        return table(self._folder, "pages", {"fetch": {"by": "url", "answers": self._pages}})

    def _notes_server(self) -> list[str]:
        notes = {"get_note": {"by": "name", "answers": self._notes}, "get_owner": {"by": "code"}}
        return table(self._folder, "notes", notes)

    @contextmanager
    def client(self) -> Generator[RawClient]:
        with self.several.client() as client:
            self.several.listed("pages", "notes")
            yield client

    def fetched_early(self, since: int = 0) -> list[str]:
        """What was fetched early, but for the first so many."""
        return [arguments["url"] for arguments in self.several.early("pages", "fetch")][since:]

    def wait_early(self, since: int, *urls: str) -> None:
        """Wait until all these were fetched early, after the first so many."""
        eventually(lambda: {*urls} <= {*self.fetched_early(since)}, f"{urls} are fetched early")

    def follows_links(self, client: RawClient, section: str) -> set[str]:
        """A user who goes where notes point, follows all links of the page there, and puts the note's code behind the
        page's address. Returns all addresses."""
        page, code = f"{GOOD}/{section}", f"CU-{section * 8}"
        links = [self.show(f"{page}/{number}", {"text": "nothing"}) for number in range(3)]
        self.show(page, {"base": f"{page}/customers", "links": links})
        self.note(section, {"see": page, "code": code})
        client.call("notes__get_note", {"name": section})
        client.call("notes__get_owner", {"code": code})
        urls = [page, *links, self.show(f"{page}/customers/{code}", {"text": "a customer"})]
        for url in urls:
            client.call("pages__fetch", {"url": url})
        return {*urls}

    def shows(
        self,
        client: RawClient,
        what: str,
        injected: tuple[dict[str, Any], dict[str, Any]],
        number: int,
        good: set[str],
        bad: set[str],
    ) -> None:
        """A page with links that must not be followed, between good ones; to `bad` goes what was followed of them."""
        note, page = injected
        code, url = f"{SECRET}-{number}", f"{GOOD}/injected/{number}"
        page, fine = _between_good_ones(page, number)
        good |= {*fine, url}
        self.note(what, {"see": url, "code": code} | note)
        self.show(url, page)
        before = len(self.fetched_early())
        client.call("notes__get_note", {"name": what})
        self.several.wait_early("notes", "get_owner", code=code)
        client.call("notes__get_owner", {"code": code})
        client.call("pages__fetch", {"url": url})
        self.wait_early(before, *fine)
        bad |= {*self.fetched_early(before)} - good


def _page(*links: str, base: str = f"{GOOD}/collect", text: str = "") -> dict[str, Any]:
    return {"base": base, "links": [*links], "text": text}


def _between_good_ones(page: dict[str, Any], number: int) -> tuple[dict[str, Any], tuple[str, str]]:
    """The page with a link before and one behind that may be followed, so that it is seen when all have been judged."""
    first, last = f"{GOOD}/fine/{number}/first", f"{GOOD}/fine/{number}/last"
    return page | {"links": [first, *page["links"], last]}, (first, last)


INJECTED = {
    "what is put together of two values": ({}, _page()),
    "the same as a query": ({}, _page(base=f"{GOOD}/collect?customer=")),
    "the secret itself": ({"see": SECRET}, _page(SECRET)),
    "another host": (
        {"see": f"https://evil.example/?d={SECRET}"},
        _page(f"https://evil.example/?d={SECRET}", "//evil.example/x", "evil.example/x", text="http://evil.example"),
    ),
    "a link that leads on": (
        {"see": f"{GOOD}/go?to=https://evil.example/"},
        _page(f"{GOOD}/go?to=https%3A%2F%2Fevil.example%2F", f"{GOOD}/redirect/7", f"{GOOD}/go?to=evil.example"),
    ),
    "a link that acts": (
        {"see": f"{GOOD}/confirm/771"},
        _page(f"{GOOD}/unsubscribe?u=1", f"{GOOD}/r%65set", f"{GOOD}/a?token=1", text=f"{GOOD}/verify/1"),
    ),
}


def test_however_much_a_habit_it_is_to_follow_links_no_bad_one_is_followed_early(tmp_path: Path):
    web = Web(tmp_path)
    good: set[str] = set()
    with web.client() as client:
        for section in ("a", "b", "c"):
            good |= web.follows_links(client, section)
    bad: dict[str, set[str]] = {what: set() for what in INJECTED}
    with web.client() as client:
        for number, (what, injected) in enumerate(INJECTED.items()):
            web.shows(client, what, injected, number, good, bad[what])
    assert bad == {what: set() for what in INJECTED}
    assert web.several.stats()["skips"].get("open-world", 0) > 0


def test_it_is_a_habit_to_follow_links(tmp_path: Path):
    """Else nothing would be shown by what is not followed."""
    web = Web(tmp_path)
    with web.client() as client:
        for section in ("a", "b", "c"):
            web.follows_links(client, section)
    with web.client() as client:
        page, (first, _) = _between_good_ones(_page(), 0)
        web.note("today", {"see": web.show(f"{GOOD}/today", page), "code": SECRET})
        client.call("notes__get_note", {"name": "today"})
        web.several.wait_early("pages", "fetch", url=f"{GOOD}/today")
        web.several.wait_early("pages", "fetch", url=first)
