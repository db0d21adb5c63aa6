"""What is shown of a client's file holds no secret, and shows what is changed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec_mcp.clients.hiding import HIDDEN, shown, word
from spec_mcp.clients.places import CLIENTS
from tests.clients.putting import JOIN, WISH, meaning, put_in
from tests.clients.samples import SAMPLES, SECRETS
from tests.clients.writing import json_files

EVERY = pytest.mark.parametrize(("client", "text"), SAMPLES.values(), ids=SAMPLES)


@EVERY
@pytest.mark.parametrize("wish", [WISH, JOIN])
def test_no_secret_is_shown_before_or_after(client: str, text: str, wish: Any) -> None:
    for each in (text, put_in(client, text, wish).text):
        said = shown(CLIENTS[client], "x", each)
        assert not any(secret in said for secret in SECRETS)


@EVERY
def test_what_is_shown_has_the_lines_of_the_file(client: str, text: str) -> None:
    said = shown(CLIENTS[client], "x", text)
    if "/*" not in text and "'''" not in text and '"""' not in text:
        assert said.count("\n") == text.count("\n")
    assert set(_keys(meaning(client, said))) == set(_keys(meaning(client, text)))


def _keys(found: Any) -> list[str]:
    if not isinstance(found, dict):
        return []
    return [key for name, value in found.items() for key in (name, *_keys(value))]


@settings(max_examples=60)
@given(json_files("servers"), st.data())
def test_values_that_are_not_known_to_be_harmless_are_never_shown(written: Any, drawn: st.DataObject) -> None:
    found = json.loads(json.dumps(meaning("vscode", written.text), default=lambda number: float(number.text)))
    secret = "hunter2-" + drawn.draw(st.text("abc", max_size=3))
    found["theme"] = [secret, {"deep": secret}]
    for entry in found["servers"].values():
        entry["env"] = {"A": secret}
        entry["headers"] = {"B": f"Bearer {secret}"}
        entry["unknown"] = {"c": [secret]}
    assert secret not in shown(CLIENTS["vscode"], "x", json.dumps(found))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-y", "@scope/package@1.2.3", "/home/ada"], ["-y", "@scope/package@1.2.3", "/home/ada"]),
        (["--api-key", "abc"], ["--api-key", HIDDEN]),
        (["--token=abc"], [f"--token={HIDDEN}"]),
        (["-e", "GITHUB_TOKEN=abc"], ["-e", f"GITHUB_TOKEN={HIDDEN}"]),
        (["postgresql://ada:pw@host/db"], [f"postgresql://{HIDDEN}@host/db"]),
        (["https://x.org/a?key=b&c=d"], [f"https://x.org/a?{HIDDEN}&{HIDDEN}"]),
        (["ghp_0123456789abcdefABCDEF"], [HIDDEN]),
        (["--header", "Authorization: Bearer x"], ["--header", HIDDEN]),
        (["--header-env", "Authorization=SPEC_MCP_HEADER_A"], ["--header-env", "Authorization=SPEC_MCP_HEADER_A"]),
        (
            ["--config", "/home/ada/.local/share/spec-mcp/x1.toml"],
            ["--config", "/home/ada/.local/share/spec-mcp/x1.toml"],
        ),
    ],
)
def test_words_of_command_lines_are_hidden_where_they_may_be_secrets(words: list[str], said: list[str]) -> None:
    assert [word(each, words[:at]) for at, each in enumerate(words)] == said
