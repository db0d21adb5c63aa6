"""Both scanners see what the standard parsers see, and know where it stands."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec_mcp.clients.faults import ClientFileError
from spec_mcp.clients.jsonc import DEEPEST, Json
from spec_mcp.clients.tomls import Toml
from spec_mcp.clients.tree import Number, Scalar, data, leaves
from tests.clients.samples import CODEX, CODEX_DOTTED, CODEX_INLINE, CODEX_ODD
from tests.clients.writing import json_files, toml_files

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def plain(found: object) -> Any:
    """With numbers as JSON reads them."""
    if isinstance(found, Number):
        return json.loads(found.text)
    if isinstance(found, list):
        return [plain(one) for one in found]
    return {name: plain(one) for name, one in found.items()} if isinstance(found, dict) else found


@settings(max_examples=200)
@given(ANYTHING, st.sampled_from([None, 0, 2, "\t"]), st.booleans())
def test_all_json_means_what_it_means_elsewhere(value: Any, indent: int | str | None, ascii_alone: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_alone)
    document = Json().scan(text, "x")
    assert plain(data(document.root)) == value
    for _, leaf in leaves(document.root):
        assert json.loads(text[leaf.span.start : leaf.span.end]) == plain(leaf.value)


@settings(max_examples=60)
@given(json_files("servers", comments=False))
def test_json_without_comments_is_read_as_json_reads_it(written: Any) -> None:
    text = written.text
    assert plain(data(Json().scan(text, "x").root)) == json.loads(text.removeprefix("\ufeff"))


def stand_where_they_stand(text: str) -> None:
    """The servers of a TOML text are those that tomllib reads, and each value is found where it stands."""
    root = Toml().scan(text, "x").root
    found, wanted = data(root), tomllib.loads(text)
    assert isinstance(found, dict)
    assert _toml(found.get("mcp_servers")) == _toml(wanted.get("mcp_servers"))
    for _, leaf in leaves(root):
        again = tomllib.loads(f"x = {text[leaf.span.start : leaf.span.end]}")["x"]
        assert isinstance(leaf, Scalar)
        assert again == leaf.value or isinstance(leaf.value, Number)


def _toml(found: object) -> Any:
    if isinstance(found, dict):
        return {name: _toml(one) for name, one in found.items()}
    if isinstance(found, list):
        return [_toml(one) for one in found]
    return found if isinstance(found, str | bool | None) else "number"


@settings(max_examples=100)
@given(toml_files())
def test_all_toml_means_what_it_means_elsewhere(written: Any) -> None:
    stand_where_they_stand(written.text)


HARD = [
    'a = """x"y""z\\""""\nb = 1',
    "a = '''it's ''two'''''\nb = [ 1, # ]\n '2', ]",
    'a = """\nline # no comment\n[no.header]\n"""\n[mcp_servers."x.y".env]\n"k e y" = \'\'',
    "[mcp_servers]\n[mcp_servers.x]\n[[x.list]]\na = 1\n[x.list.sub]\nb = 2\n[[x.list.sub.more]]\n[x]\nc = 1",
    "mcp_servers.x = { a.b.c = 1, a.b.d = [ { e = 2 } ], 'f' = {} }",
    "a = 2026-11-22T08:00:00Z # date\nb = 08:00:00\nc = [2026-11-22 08:00:00, -1_000.5e-3, 0xff, inf, nan]",
    "a.b = 1\na.c.d = true\n[a.e]\nf = false",
    "",
    "# nothing",
    '"" = 1\n[mcp_servers."".""]\nx = "\\u00e9\\t"',
]


@pytest.mark.parametrize("text", [*HARD, CODEX, CODEX_ODD, CODEX_INLINE, CODEX_DOTTED])
def test_hard_toml_is_read_right(text: str) -> None:
    stand_where_they_stand(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", {}),
        ("\ufeff // x\n{ } ", {}),
        ('{"a": [1, 2,], /* // */ "b": "/* no comment */",}', {"a": [1, 2], "b": "/* no comment */"}),
        ('{"a": 1, "a": {"b": 2}}', {"a": {"b": 2}}),
        ('["\\ud800", "\\u00e9\\n"]', ["\ud800", "é\n"]),
        ("-1.50e+3", -1500.0),
    ],
)
def test_what_clients_take_besides_json_is_taken(text: str, value: object) -> None:
    assert plain(data(Json().scan(text, "x").root)) == value


def test_tables_within_tables_end_somewhere() -> None:
    Json().scan("[" * DEEPEST + "]" * DEEPEST, "x")
    with pytest.raises(ClientFileError):
        Json().scan("[" * 100_000, "x")


@settings(max_examples=200)
@given(st.text() | st.text('{}[]":,/*\\ \n10tf#', max_size=30))
def test_any_text_is_read_or_refused_with_a_reason(text: str) -> None:
    for syntax in (Json(), Toml()):
        reason = ""
        try:
            syntax.scan(text, "the file")
        except ClientFileError as error:
            reason = str(error)
        assert reason == "" or reason.startswith("the file: ")
