"""OAuth to servers: with the SDK's own authorization server, and with ones that say what a test wants."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs

import anyio
import httpx2
import pytest
from mcp.shared.auth import OAuthClientInformationFull

from spec_mcp.relay.back import login, remote
from spec_mcp.relay.back.address import Address
from spec_mcp.relay.back.auth import ClientCredentials, OAuth
from spec_mcp.relay.back.failures import Failure
from spec_mcp.relay.back.http import HttpBack
from spec_mcp.relay.back.login import log_in
from spec_mcp.relay.back.tokens import FileKeeping, Keeping, KeyringKeeping, Tokens, keeping_in
from spec_mcp.relay.clock import now_s
from tests.relay.back.hostile import Asked, Hostile, Out, Plain, hostile
from tests.relay.back.keeping import HANDSHAKE, kept
from tests.relay.back.places import QUIET, Served

pytestmark = pytest.mark.anyio

GUARDED = Path(__file__).resolve().parents[2] / "servers" / "guarded.py"
HOW = "run the command that logs in"
SECRET = "s3cret"


class InMemory:
    """Keeps secrets for a test."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def get(self, name: str) -> str | None:
        return self.kept.get(name)

    def set(self, name: str, secret: str) -> None:
        self.kept[name] = secret


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(
        tmp_path_factory.mktemp("guarded"), [sys.executable, *QUIET, str(GUARDED)], "--http", HANDSHAKE, HttpBack
    )
    yield served
    served.end()


def link(url: str, keeping: Keeping, credentials: ClientCredentials | None = None) -> HttpBack:
    address = Address(url, {})
    return HttpBack(address, now_s, OAuth(address, keeping, HOW, credentials), chance=lambda: 0.0)


async def open_in_browser(said: str) -> None:
    """What a person does with what they are told."""
    address = next(word for word in said.split() if word.startswith("http"))
    async with httpx2.AsyncClient(follow_redirects=True) as browser:
        assert (await browser.get(address)).status_code == 200


async def logged_in(url: str, keeping: Keeping) -> str:
    """A person logs in."""
    told: list[str] = []
    async with anyio.create_task_group() as tasks:

        def say(said: str) -> None:
            tasks.start_soon(open_in_browser, said)

        told.append(await log_in(Address(url, {}), keeping, say))
    return told[0]


# --- with the SDK's server ------------------------------------------------------------------------------------------


async def test_without_a_login_a_server_is_parked_with_the_command_to_run(guarded: Served) -> None:
    async with kept(link(guarded.url, InMemory())) as client:
        client.send("initialize")
        assert f"wants a login (401): {HOW}" in await client.lost()
        client.send("initialize", why=HOW)


async def test_after_a_login_the_server_is_served_also_by_those_that_come_later(guarded: Served) -> None:
    keeping = InMemory()
    assert await logged_in(guarded.url, keeping) == "logged in"
    for _ in range(2):
        async with kept(link(guarded.url, keeping)) as client:
            await client.hello()
            assert await client.said(client.call("who")) in next(iter(keeping.kept.values()))


async def test_a_parked_server_notices_that_somebody_has_logged_in(
    guarded: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "BARRED_S", 0.0)
    keeping = InMemory()
    async with kept(link(guarded.url, keeping)) as client:
        client.send("initialize")
        await client.lost()
        await logged_in(guarded.url, keeping)
        await client.hello()
        await client.said(client.call("who"))


async def test_a_token_whose_time_is_over_is_renewed_before_it_is_used(guarded: Served) -> None:
    keeping = InMemory()
    await logged_in(guarded.url, keeping)
    entry = json.loads(next(iter(keeping.kept.values())))
    before = entry["tokens"]["access_token"]
    keeping.kept[entry["server"]] = json.dumps({**entry, "expires_at": 1.0})
    async with kept(link(guarded.url, keeping)) as client:
        await client.hello()
        after = await client.said(client.call("who"))
        assert after != before
        assert after in next(iter(keeping.kept.values()))


async def test_a_token_that_the_server_takes_no_more_is_renewed_once_for_all_who_wait(guarded: Served) -> None:
    keeping = InMemory()
    await logged_in(guarded.url, keeping)
    entry = json.loads(next(iter(keeping.kept.values())))
    entry["tokens"]["access_token"] = "gone"
    keeping.kept[entry["server"]] = json.dumps(entry)
    async with kept(link(guarded.url, keeping)) as client:
        await client.hello()
        calls = [client.call("who") for _ in range(8)]
        assert len({await client.said(call) for call in calls}) == 1
        assert client.losses == []


async def test_what_another_process_has_renewed_is_taken_from_where_it_is_kept(guarded: Served) -> None:
    keeping = InMemory()
    await logged_in(guarded.url, keeping)
    name, text = next(iter(keeping.kept.items()))
    entry = json.loads(text)
    used_up = {**entry["tokens"], "access_token": "gone", "refresh_token": "used up"}
    keeping.kept[name] = json.dumps({**entry, "tokens": used_up})
    back = link(guarded.url, keeping)
    async with kept(back) as client:
        assert back._reach._auth is not None
        assert await back._reach._auth.header() == b"Bearer gone"
        keeping.kept[name] = text
        await client.hello()
        assert await client.said(client.call("who")) == entry["tokens"]["access_token"]


async def test_a_slow_call_holds_up_no_other_though_both_show_the_same_token() -> None:
    may_go = anyio.Event()

    async def slow(asked: Asked, out: Out) -> None:
        await may_go.wait()
        await out.answer(asked)

    async with hostile(Plain(tools__call=slow)) as server:
        keeping = InMemory()
        token = {"tokens": {"access_token": "t", "token_type": "Bearer"}}
        keeping.kept[server.url] = json.dumps(token)
        async with kept(link(server.url, keeping)) as client:
            await client.hello()
            call = client.call("t")
            await server.came("tools/call")
            await client.answer(client.send("ping"))
            assert server.named("ping")[0].headers["authorization"] == "Bearer t"
            may_go.set()
            await client.answer(call)


# --- with others ----------------------------------------------------------------------------------------------------


class Guard(Plain):
    """A server that takes one token at a time, and the authorization server that gives it."""

    def __init__(self, **special: Any) -> None:
        super().__init__(**special)
        self.given = 0
        self.forms: list[dict[str, list[str]]] = []
        self.base = ""
        self.token_status = 200
        self.challenge = "Bearer"
        self.takes = "token-1"

    async def __call__(self, asked: Asked, out: Out) -> None:
        if asked.target.startswith("/.well-known/oauth-protected-resource"):
            await reply(out, {"resource": f"{self.base}/mcp", "authorization_servers": [self.base]})
        elif asked.target.startswith("/.well-known/oauth-authorization-server"):
            await reply(out, self.metadata())
        elif asked.target == "/token":
            self.forms.append(parse_qs(asked.body.decode()))
            self.given += 1
            token = {"access_token": f"token-{self.given}", "token_type": "Bearer", "expires_in": 3600}
            await reply(out, token if self.token_status == 200 else {"error": SECRET}, self.token_status)
        elif asked.headers.get("authorization") != f"Bearer {self.takes}":
            await out.reply(401, WWW_Authenticate=self.challenge)
        else:
            await super().__call__(asked, out)

    def metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.base,
            "authorization_endpoint": f"{self.base}/authorize",
            "token_endpoint": f"{self.base}/token",
            "response_types_supported": ["code"],
            "grant_types_supported": ["client_credentials", "authorization_code", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        }


async def reply(out: Out, body: Any, status: int = 200) -> None:
    await out.reply(status, json.dumps(body).encode())


def of(server: Hostile, guard: Guard) -> ClientCredentials:
    guard.base = server.url.removesuffix("/mcp")
    return ClientCredentials("id", SECRET, guard.base, "read")


async def test_a_program_shows_its_own_credentials_without_a_person() -> None:
    guard = Guard()
    async with hostile(guard) as server:
        keeping = InMemory()
        async with kept(link(server.url, keeping, of(server, guard))) as client:
            await client.hello()
            await client.answer(client.call("t"))
            guard.takes = "token-2"
            await client.answer(client.call("t"))
        assert [form["grant_type"] for form in guard.forms] == [["client_credentials"]] * 2
        assert SECRET not in str(keeping.kept)


async def test_what_an_authorization_server_refuses_is_not_shown(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(0)
    guard = Guard()
    guard.token_status = 400
    async with hostile(guard) as server, kept(link(server.url, InMemory(), of(server, guard))) as client:
        client.send("initialize")
        why = await client.lost()
        assert "gives no token" in why
        told = capfd.readouterr()
        for text in (why, caplog.text, told.out, told.err):
            assert SECRET not in text
        assert guard.given == 1


async def test_a_token_that_the_server_does_not_take_parks_it() -> None:
    guard = Guard()
    guard.takes = "another"
    async with hostile(guard) as server, kept(link(server.url, InMemory(), of(server, guard))) as client:
        client.send("initialize")
        assert "wants credentials" in await client.lost()
        assert guard.given == 1


@pytest.mark.parametrize("where", ["http://169.254.169.254/latest", "http://other.invalid/x", "ftp://127.0.0.1/x"])
async def test_a_server_cannot_have_us_ask_at_other_addresses(where: str) -> None:
    guard = Guard()
    guard.challenge = f'Bearer resource_metadata="{where}"'
    async with hostile(guard) as server, kept(link(server.url, InMemory(), of(server, guard))) as client:
        client.send("initialize")
        assert "cannot keep a secret" in await client.lost()


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"access_token":5}', b"x" * (2 << 20)])
async def test_an_authorization_server_that_answers_nonsense_parks_the_server(body: bytes) -> None:
    class Nonsense(Guard):
        async def __call__(self, asked: Asked, out: Out) -> None:
            if asked.target == "/token":
                await out.reply(200, body)
            else:
                await super().__call__(asked, out)

    guard = Nonsense()
    async with hostile(guard) as server, kept(link(server.url, InMemory(), of(server, guard))) as client:
        client.send("initialize")
        assert "login to the server failed" in await client.lost()


async def test_nobody_who_logs_in_is_waited_for_no_longer_than_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "LOGIN_S", 0.2)

    class Registering(Guard):
        async def __call__(self, asked: Asked, out: Out) -> None:
            if asked.target == "/register":
                await reply(out, {**asked.message, "client_id": "id"}, 201)
            else:
                await super().__call__(asked, out)

        def metadata(self) -> dict[str, Any]:
            return {**super().metadata(), "registration_endpoint": f"{self.base}/register"}

    guard = Registering()
    said: list[str] = []
    async with hostile(guard) as server:
        of(server, guard)
        with pytest.raises(Failure, match="nobody logged in"):
            await log_in(Address(server.url, {}), InMemory(), said.append)
    assert f"{guard.base}/authorize?" in said[0]


async def test_a_server_that_wants_no_login_says_so() -> None:
    async with hostile(Plain()) as server:
        assert await log_in(Address(server.url, {}), InMemory(), print) == "the server wants no login"


# --- where they are kept --------------------------------------------------------------------------------------------


async def test_what_is_kept_in_files_is_for_this_user_alone(tmp_path: Path) -> None:
    keeping = FileKeeping(tmp_path)
    assert keeping.get("a") is None
    keeping.set("a", "1")
    keeping.set("a", "2")
    keeping.set("b", "3")
    assert (keeping.get("a"), keeping.get("b")) == ("2", "3")
    files = list((tmp_path / "tokens").iterdir())
    assert len(files) == 2
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "tokens").stat().st_mode) == 0o700


async def test_what_cannot_be_kept_holds_for_this_process(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    blocked = tmp_path / "tokens"
    blocked.write_text("no folder")
    tokens = Tokens("server", FileKeeping(tmp_path))
    await tokens.set_client_info(_client())
    assert await tokens.get_tokens() is None
    assert "cannot be" in capfd.readouterr().err


def _client() -> Any:
    return OAuthClientInformationFull(client_id="id")


@pytest.mark.parametrize("kept_text", ["", "nonsense", "[]", '{"tokens": 5, "client": [], "expires_at": "x"}'])
async def test_what_is_broken_where_it_is_kept_is_nothing(kept_text: str) -> None:
    keeping = InMemory()
    keeping.kept["server"] = kept_text
    tokens = Tokens("server", keeping)
    assert (await tokens.get_tokens(), await tokens.get_client_info(), await tokens.expires_at_s()) == (None,) * 3


class FakeKeyring(ModuleType):
    """A keyring as the library shows it."""

    def __init__(self, priority: float, fails: bool = False) -> None:
        super().__init__("keyring")
        self.errors = ModuleType("keyring.errors")
        self.errors.KeyringError = type("KeyringError", (Exception,), {})  # type: ignore[attr-defined]
        self.secrets: dict[tuple[str, str], str] = {}
        self.priority = priority
        self.fails = fails

    def get_keyring(self) -> Any:
        return self

    def get_password(self, service: str, name: str) -> str | None:
        if self.fails:
            raise self.errors.KeyringError
        return self.secrets.get((service, name))

    def set_password(self, service: str, name: str, secret: str) -> None:
        if self.fails:
            raise self.errors.KeyringError
        self.secrets[service, name] = secret


def with_keyring(monkeypatch: pytest.MonkeyPatch, keyring: FakeKeyring) -> None:
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.setitem(sys.modules, "keyring.errors", keyring.errors)


async def test_the_system_s_keyring_is_used_where_it_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keyring = FakeKeyring(priority=5)
    with_keyring(monkeypatch, keyring)
    keeping = keeping_in(tmp_path)
    keeping.set("server", "secret")
    assert keyring.secrets == {("spec-mcp", "server"): "secret"}
    assert keeping.get("server") == "secret"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("keyring", [FakeKeyring(priority=0), FakeKeyring(priority=5, fails=True), None])
async def test_where_no_keyring_works_files_are_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keyring: FakeKeyring | None
) -> None:
    if keyring is None:
        monkeypatch.setitem(sys.modules, "keyring", None)
    else:
        with_keyring(monkeypatch, keyring)
    keeping = keeping_in(tmp_path)
    keeping.set("server", "secret")
    assert keeping.get("server") == "secret"
    assert os.listdir(tmp_path) == ["tokens"]
    assert isinstance(keeping, KeyringKeeping) == (keyring is not None and keyring.fails)


async def test_a_server_of_the_older_transport_is_logged_in_to_as_well() -> None:
    class OlderGuard(Guard):
        async def __call__(self, asked: Asked, out: Out) -> None:
            if asked.method == "POST" and asked.target == "/mcp":
                await out.reply(405)
            elif asked.target == "/mcp" and asked.headers.get("authorization") == "Bearer token-1":
                await out.stream()
                await out.until_left()
            else:
                await super().__call__(asked, out)

    guard = OlderGuard()
    async with hostile(guard) as server:
        of(server, guard)
        with pytest.raises(Failure, match="does not register us"):  # it was asked to
            await log_in(Address(server.url, {}), InMemory(), print)
