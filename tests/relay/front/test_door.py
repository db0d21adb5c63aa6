"""Who is let in over HTTP: tokens, their issuer, and principals that do not reach each other."""

from __future__ import annotations

import base64
import hmac
import json
import time
from dataclasses import replace
from typing import Any

import anyio
import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from spec_mcp.config import DEFAULTS, Config, ConfigError, Listen, Server
from spec_mcp.relay.front.app import Readiness
from spec_mcp.relay.front.keys import Unreachable
from spec_mcp.relay.front.settings import HttpSettings, Secret, http_settings, require_safe_place
from spec_mcp.relay.gateway.ports import Principal
from tests.relay.front.rig import Events, Rig, Scripted, call, modern_request, request, serving, until

pytestmark = pytest.mark.anyio

ISSUER = "https://issuer.example"
AUDIENCE = "https://gateway.example/mcp"
KEYS_URL = "https://issuer.example/keys"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
JWKS: dict[str, Any] = {
    "keys": [
        {**RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True), "kid": "rsa", "use": "sig"},
        {**ECAlgorithm.to_jwk(EC.public_key(), as_dict=True), "kid": "ec", "alg": "ES256"},
        {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "oct"},
        {"kty": "nonsense", "kid": "odd"},
    ]
}


class Issuer:
    """Answers what is fetched, and counts."""

    def __init__(self, pages: dict[str, Any] | None = None) -> None:
        self.pages: dict[str, Any] = {KEYS_URL: JWKS} if pages is None else pages
        self.fetched: list[str] = []

    async def get(self, url: str) -> bytes:
        self.fetched.append(url)
        await anyio.lowlevel.checkpoint()
        if url not in self.pages:
            raise Unreachable(f"{url} answers 404")
        return json.dumps(self.pages[url]).encode()


def token(key: Any = RSA, kid: str | None = "rsa", algorithm: str = "RS256", **claims: Any) -> str:
    """A good one, but for what is said."""
    all_claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": time.time() + 600, "scope": "mcp read", **claims}
    kept = {name: value for name, value in all_claims.items() if value is not None}
    return jwt.encode(kept, key, algorithm, headers={} if kid is None else {"kid": kid})


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


LISTEN = Listen(issuer=ISSUER, audience=AUDIENCE, jwks_url=KEYS_URL, required_scopes=("mcp",))


async def test_without_tokens_everybody_of_this_machine_is_one_principal() -> None:
    async with serving(Scripted()) as rig:
        await rig.initialize()
        assert rig.gateway.session.visitor.principal == Principal()
        assert rig.gateway.session.visitor.until_s is None


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer", "Basic s3cret", "s3cret", "Bearer s3cret x"])
async def test_the_one_token_lets_in_and_nothing_else(header: str) -> None:
    settings = HttpSettings(Listen(), Secret("s3cret"))
    async with serving(Scripted(), settings=settings) as rig:
        refused = await rig.post(request("initialize", {}))
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        refused = await rig.post(request("initialize", {}), authorization=header)
        assert refused.status_code == 401
        assert "s3cret" not in refused.text
        assert not rig.gateway.sessions
        await rig.initialize(authorization="bearer s3cret")
        assert len(rig.gateway.sessions) == 1


async def test_a_token_of_the_issuer_says_who_comes_and_for_how_long() -> None:
    issuer = Issuer()
    async with serving(Scripted(), LISTEN, get=issuer.get) as rig:
        until_s = time.time() + 300
        await rig.initialize(**bearer(token(exp=until_s)))
        visitor = rig.gateway.session.visitor
        assert visitor.principal == Principal("ann", ISSUER, ("mcp", "read"))
        assert visitor.until_s == pytest.approx(until_s, abs=1)
        await rig.initialize(**bearer(token(EC, "ec", "ES256", scope=None, scp=["mcp"])))
        assert rig.gateway.session.visitor.principal == Principal("ann", ISSUER, ("mcp",))
        assert issuer.fetched == [KEYS_URL]


BAD = {
    "expired": token(exp=time.time() - 1),
    "not yet valid": token(nbf=time.time() + 86_400),
    "of another issuer": token(iss="https://other.example"),
    "for another": token(aud="https://other.example/mcp"),
    "for nobody": token(aud=None),
    "of nobody": token(sub=None),
    "without an end": token(exp=None),
    "of another key": token(OTHER_RSA),
    "of an unknown key": token(kid="unknown"),
    "without a key's name": token(kid=None),
    "with the wrong kind of key": token(EC, "rsa", "ES256"),
    "with a shared key": token("secretsecretsecretsecretsecretsecret", "oct", "HS256"),
    "unsigned": token(None, "rsa", "none"),
    "no token": "x.y.z",
    "empty parts": "..",
    "very long": "x" * 20_000,
}


@pytest.mark.parametrize("why", BAD)
async def test_a_token_that_is_not_good_is_not_taken(why: str) -> None:
    async with serving(Scripted(), LISTEN, get=Issuer().get) as rig:
        response = await rig.post(request("initialize", {}), **bearer(BAD[why]))
        assert response.status_code == 401
        challenge = response.headers["www-authenticate"]
        assert challenge.startswith('Bearer error="invalid_token"')
        assert 'scope="mcp"' in challenge
        assert BAD[why] not in response.text + challenge
        assert not rig.gateway.sessions


async def test_a_signature_by_the_public_key_as_a_shared_one_is_not_taken() -> None:
    signed = base64url(b'{"alg":"HS256","kid":"rsa","typ":"JWT"}') + "." + token().split(".")[1]
    public = json.dumps(JWKS["keys"][0]).encode()
    forged = signed + "." + base64url(hmac.digest(public, signed.encode(), "sha256"))
    async with serving(Scripted(), LISTEN, get=Issuer().get) as rig:
        assert (await rig.post(request("initialize", {}), **bearer(forged))).status_code == 401


def base64url(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


async def test_a_token_without_the_scope_is_told_which() -> None:
    async with serving(Scripted(), LISTEN, get=Issuer().get) as rig:
        response = await rig.post(request("initialize", {}), **bearer(token(scope="read")))
        assert response.status_code == 403
        assert 'error="insufficient_scope"' in response.headers["www-authenticate"]
        assert 'scope="mcp"' in response.headers["www-authenticate"]


async def test_who_has_no_token_is_told_where_one_is_to_be_had() -> None:
    listen = replace_listen(public_url="https://gateway.example/mcp")
    async with serving(Scripted(), listen, get=Issuer().get) as rig:
        response = await rig.post(request("initialize", {}))
        place = "https://gateway.example/.well-known/oauth-protected-resource/mcp"
        assert f'resource_metadata="{place}"' in response.headers["www-authenticate"]
        assert "error" not in response.headers["www-authenticate"]
        for path in ("/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"):
            metadata = await rig.http.get(rig.url.replace("/mcp", path))
            assert metadata.headers["access-control-allow-origin"] == "*"
            assert metadata.json() == {
                "resource": "https://gateway.example/mcp",
                "authorization_servers": [ISSUER],
                "scopes_supported": ["mcp"],
                "bearer_methods_supported": ["header"],
            }


def replace_listen(**changes: Any) -> Listen:
    return msgspec.structs.replace(LISTEN, **changes)


async def test_where_no_issuer_is_named_there_is_no_metadata() -> None:
    async with serving(Scripted()) as rig:
        response = await rig.http.get(rig.url.replace("/mcp", "/.well-known/oauth-protected-resource"))
        assert response.status_code == 404


@pytest.mark.parametrize("path", ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"])
async def test_the_issuers_metadata_says_where_its_keys_are(path: str) -> None:
    issuer = Issuer({ISSUER + path: {"issuer": ISSUER, "jwks_uri": KEYS_URL}, KEYS_URL: JWKS})
    async with serving(Scripted(), replace_listen(jwks_url=""), get=issuer.get) as rig:
        await rig.initialize(**bearer(token()))
        assert issuer.fetched[-1] == KEYS_URL


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://other.example", "jwks_uri": KEYS_URL},
        {"issuer": ISSUER, "jwks_uri": "http://issuer.example/keys"},
        {"issuer": ISSUER, "jwks_uri": 5},
        {"issuer": ISSUER},
        [],
    ],
)
async def test_metadata_that_cannot_be_trusted_lets_nobody_in(metadata: Any) -> None:
    issuer = Issuer({ISSUER + "/.well-known/oauth-authorization-server": metadata, KEYS_URL: JWKS})
    async with serving(Scripted(), replace_listen(jwks_url=""), get=issuer.get) as rig:
        response = await rig.post(request("initialize", {}), **bearer(token()))
        assert response.status_code == 503
        assert KEYS_URL not in issuer.fetched


async def test_a_new_key_is_found_and_strangers_cannot_make_us_ask_again_and_again() -> None:
    issuer = Issuer()
    clock = Clock()
    async with serving(Scripted(), LISTEN, get=issuer.get, steady_s=clock) as rig:
        await rig.initialize(**bearer(token()))
        issuer.pages[KEYS_URL] = {
            "keys": [*JWKS["keys"], {**RSAAlgorithm.to_jwk(OTHER_RSA.public_key(), as_dict=True), "kid": "new"}]
        }
        new = token(OTHER_RSA, "new")
        for number in range(5):
            refused = await rig.post(request("initialize", {}), **bearer(token(kid=f"made up {number}")))
            assert refused.status_code == 401
        assert (await rig.post(request("initialize", {}), **bearer(new))).status_code == 401
        assert len(issuer.fetched) == 1
        clock.at_s += 11
        await rig.initialize(**bearer(new))
        assert len(issuer.fetched) == 2


async def test_keys_that_cannot_be_fetched_again_are_used_as_they_are() -> None:
    issuer = Issuer()
    clock = Clock()
    async with serving(Scripted(), LISTEN, get=issuer.get, steady_s=clock) as rig:
        await rig.initialize(**bearer(token()))
        issuer.pages.clear()
        clock.at_s += 3600
        await rig.initialize(**bearer(token(sub="bob")))
        assert len(issuer.fetched) == 2


class Clock:
    """One that a test sets."""

    def __init__(self) -> None:
        self.at_s = 1000.0

    def __call__(self) -> float:
        return self.at_s


async def test_many_at_once_ask_the_issuer_once() -> None:
    issuer = Issuer()
    async with serving(Scripted(), LISTEN, get=issuer.get) as rig:
        asked = [rig.ask(request("initialize", {"n": n}), **bearer(token(sub=str(n)))) for n in range(10)]
        for one in asked:
            assert (await one.response()).status_code == 200
        assert issuer.fetched == [KEYS_URL]


async def test_a_session_ends_with_its_token_unless_a_newer_one_is_shown() -> None:
    wall = Clock()
    wall.at_s = time.time()
    async with serving(Scripted(), LISTEN, get=Issuer().get, wall_s=wall) as rig:
        short, long = token(exp=wall.at_s + 100), token(exp=wall.at_s + 400)
        left, stays = await rig.initialize(**bearer(short)), await rig.initialize(**bearer(short))
        assert (await rig.post(call("x"), "unknown", **bearer(short))).status_code == 404
        notification = {"jsonrpc": "2.0", "method": "notifications/x"}
        assert (await rig.post(notification, stays, **bearer(long))).status_code == 202
        assert (await rig.post(notification, stays, **bearer(short))).status_code == 202
        assert [session.drops for session in rig.gateway.sessions] == [0, 1]
        async with rig.listen(left, **bearer(short)) as own:
            wall.at_s += 200
            rig.front.sessions.sweep_once()
            assert await Events(own).rest() == []
        assert [session.is_closed for session in rig.gateway.sessions] == [True, False]
        assert (await rig.post(notification, stays, **bearer(short))).status_code == 401
        assert (await rig.post(notification, left, **bearer(long))).status_code == 404
        assert (await rig.post(notification, stays, **bearer(long))).status_code == 202


async def test_a_session_of_another_principal_is_as_unknown_as_one_that_never_was() -> None:
    async with serving(Scripted(), LISTEN, get=Issuer().get) as rig:
        ann, bob = bearer(token()), bearer(token(sub="bob"))
        fewer = bearer(token(scope="mcp"))
        session = await rig.initialize(**ann)
        known = len(rig.gateway.session.lines)
        unknown = await rig.post(call("x"), "unknown", **bob)
        for other in (bob, fewer):
            for method in ("POST", "GET", "DELETE"):
                body = call("x") if method == "POST" else None
                async with rig.stream(body, session, method, **other) as response:
                    assert response.status_code == 404
                    assert await response.aread() == unknown.content
        assert len(rig.gateway.session.lines) == known
        assert not rig.gateway.session.is_closed


async def test_stateless_clients_of_two_principals_share_no_conversation() -> None:
    async with serving(Scripted(), LISTEN, get=Issuer().get) as rig:
        asked = []
        for who in ("ann", "bob"):
            body, headers = modern_request("tools/list", {}, 1, {"spec-mcp/session": "same"}, **bearer(token(sub=who)))
            asked.append(rig.ask(body, **headers))
        await until(lambda: len(rig.gateway.sessions) == 2, "both are there")
        for session in rig.gateway.sessions:
            heard = await session.heard("tools/list")
            session.answer(heard["id"], {"whose": session.visitor.principal.subject})
        whose = [(await one.response()).json()["result"]["whose"] for one in asked]
        assert whose == ["ann", "bob"]


async def test_only_headers_that_a_server_is_to_get_are_remembered_and_they_tell_principals_apart() -> None:
    settings = HttpSettings(Listen(), forwarded=frozenset({"x-user"}))
    async with serving(Scripted(), settings=settings) as rig:
        session = await rig.initialize(x_user="s3cret-ann", x_other="o")
        visitor = rig.gateway.session.visitor
        assert dict(visitor.headers) == {"x-user": "s3cret-ann"}
        assert "s3cret" not in repr(visitor)
        assert visitor.principal.credentials
        assert (await rig.post(call("x"), session, x_user="bob")).status_code == 404
        assert (await rig.post(call("x"), session)).status_code == 404


async def test_strangers_hear_whether_we_are_ready_and_nothing_more() -> None:
    def ready() -> Readiness:
        return Readiness(False, {"github": "starting"})

    settings = HttpSettings(Listen(), Secret("s3cret"))
    async with serving(Scripted(), settings=settings, ready=ready) as rig:
        await check_readiness(rig, {}, {"ready": False})
        await check_readiness(rig, bearer("wrong"), {"ready": False})
        await check_readiness(rig, bearer("s3cret"), {"ready": False, "servers": {"github": "starting"}})
        await check_readiness(rig, {**bearer("s3cret"), "host": "evil.example"}, {"ready": False})
        healthz = await rig.http.get(rig.url.replace("/mcp", "/healthz"), headers={"host": "10.0.0.1"})
        assert (healthz.status_code, healthz.json()) == (200, {"alive": True})


async def test_how_the_servers_are_is_not_for_those_who_share_the_gateway() -> None:
    def ready() -> Readiness:
        return Readiness(False, {"github": "1 ready, 1 parked"})

    settings = HttpSettings(LISTEN, Secret("s3cret"))
    async with serving(Scripted(), settings=settings, ready=ready, get=Issuer().get) as rig:
        await check_readiness(rig, bearer(token()), {"ready": False})
        await check_readiness(rig, bearer("s3cret"), {"ready": False, "servers": {"github": "1 ready, 1 parked"}})


async def check_readiness(rig: Rig, headers: dict[str, str], told: dict[str, Any]) -> None:
    response = await rig.http.get(rig.url.replace("/mcp", "/readyz"), headers=headers)
    assert (response.status_code, response.json()) == (503, told)


# --- settings ---------------------------------------------------------------------------------------------------------


def config(**listen: Any) -> Config:
    return replace(DEFAULTS, listen=Listen(**listen))


async def test_only_loopback_is_served_where_nobody_is_asked_for_a_token() -> None:
    settings = http_settings(config(), {})
    for host in ("127.0.0.1", "localhost", "::1", "127.8.0.1"):
        require_safe_place(settings, host)
    for host in ("0.0.0.0", "", "::", "192.168.0.1", "example.com"):
        with pytest.raises(ConfigError, match=r"set SPEC_MCP_TOKEN, or use 127\.0\.0\.1"):
            require_safe_place(settings, host)
        require_safe_place(http_settings(config(), {"SPEC_MCP_TOKEN": "t"}), host)
        require_safe_place(http_settings(config(issuer=ISSUER, audience=AUDIENCE), {}), host)


async def test_an_empty_token_is_none() -> None:
    assert not http_settings(config(), {"SPEC_MCP_TOKEN": " "}).asks_for_tokens
    assert http_settings(config(token_env="OURS"), {"OURS": "x", "SPEC_MCP_TOKEN": ""}).asks_for_tokens


@pytest.mark.parametrize(
    ("listen", "fault"),
    [
        ({"issuer": "http://issuer.example", "audience": "x"}, r"\[listen\] issuer: what comes over http"),
        ({"issuer": "issuer.example", "audience": "x"}, r"\[listen\] issuer: is no address"),
        ({"issuer": ISSUER}, r"\[listen\] issuer: takes tokens made out for anybody"),
        ({"jwks_url": "http://x.example/keys"}, r"\[listen\] jwks_url: what comes over http"),
        ({"public_url": "https://u:s3cret@x.example/mcp"}, r"\[listen\] public_url: an address without user"),
        ({"public_url": "https://["}, r"\[listen\] public_url: is no address"),
    ],
)
async def test_addresses_that_are_not_safe_are_refused(listen: dict[str, str], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault) as raised:
        http_settings(config(**listen), {})
    assert "s3cret" not in str(raised.value)


async def test_no_secret_shows() -> None:
    servers = {"a": Server(url="https://x.example", forward_headers=("X-User", "Authorization"))}
    settings = http_settings(replace(config(), servers=servers), {"SPEC_MCP_TOKEN": "s3cret"})
    assert settings.forwarded == {"x-user", "authorization"}
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in repr(settings.token)
