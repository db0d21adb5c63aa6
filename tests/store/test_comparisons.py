"""What comparisons found is summed, bounded and forgotten, and says which tools are demoted."""

from __future__ import annotations

from spec_mcp.engine.events import NOTHING_KNOWN, Known
from spec_mcp.engine.evidence import REMEMBERED
from spec_mcp.engine.results import Difference
from spec_mcp.store.cleaning import Cleaner
from spec_mcp.store.comparing import SHOWN, SHOWN_OF_TOOL
from spec_mcp.store.redaction import Redactor
from spec_mcp.store.rows import ComparisonRow, Scope
from spec_mcp.store.store import Store, ToolComparisons
from tests.store.rows import DAY_S, FILES, NOW, SHOP, call, comparison, demotion, session

READ = ("files", "read")


def test_a_divergence_comes_back_as_it_was_the_newest_first(store: Store) -> None:
    rows = [comparison(at=NOW + number) for number in range(3)]
    store.write([*rows, comparison(verdict="same")])
    assert store.divergences(10) == list(reversed(rows))
    assert store.divergences(1) == [rows[-1]]


def test_comparisons_are_summed_by_tool_and_kind(store: Store) -> None:
    store.write(
        [
            comparison(verdict="same"),
            comparison(verdict="passing", how="join", saved_s=1.0),
            comparison(verdict="same", how="miss", saved_s=0.0),
            comparison(is_check=True),
            comparison("list", is_check=True, verdict="same", scope=SHOP),
        ]
    )
    assert store.comparisons() == {
        READ: ToolComparisons(
            shadow=3,
            hits=1,
            joins=1,
            would_save_s=1.5,
            checks=1,
            same=2,
            passing=1,
            different=1,
            places={"result.at": 2},
        ),
        ("shop", "list"): ToolComparisons(checks=1, same=1),
    }


def test_a_place_passes_only_where_it_always_did(store: Store) -> None:
    both = (Difference("result.at", True), Difference("result.n", False))
    store.write([comparison(verdict="passing"), comparison(differences=both)])
    assert store.comparisons()[READ].passing_places == {"result.at"}


def test_of_many_divergences_the_results_of_the_newest_are_kept(store: Store) -> None:
    store.write([comparison(at=NOW + number) for number in range(SHOWN_OF_TOOL + 5)])
    kept = [row for row in store.divergences(1000) if row.early is not None or row.real is not None]
    assert [row.at for row in kept] == [NOW + number for number in reversed(range(5, SHOWN_OF_TOOL + 5))]
    store.write([comparison(f"tool-{number}") for number in range(SHOWN + 5)])
    assert sum(row.early is not None for row in store.divergences(10_000)) == SHOWN


def test_the_last_comparisons_of_each_tool_under_its_newest_entry_are_known(store: Store) -> None:
    store.write([comparison(entry="old") for _ in range(3)])
    store.write([comparison(verdict="same") for _ in range(REMEMBERED)])
    store.write([comparison(), comparison("list", verdict="passing"), comparison("there", scope=SHOP)])
    known = store.known(FILES)
    assert known.demoted == {}
    assert known.compared == {
        "read": ("entry", (*[False] * (REMEMBERED - 1), True)),
        "list": ("entry", (False,)),
    }
    assert store.known(Scope.of("files", ["another launch"])) == NOTHING_KNOWN


def test_a_demotion_lasts_until_it_is_taken_back(store: Store) -> None:
    store.write([demotion(entry="old"), demotion(), demotion("list"), demotion(scope=SHOP)])
    assert store.known(FILES).demoted == {"read": "entry", "list": "entry"}
    store.write([demotion("list", "")])
    assert store.known(FILES).demoted == {"read": "entry"}
    assert store.comparisons()[READ].demoted


def test_a_person_may_pardon_the_tools_of_a_server_and_what_was_seen_speaks_against_them_no_more(store: Store) -> None:
    store.write([comparison(), comparison("list"), demotion(), demotion(scope=SHOP)])
    assert store.pardon("files") == [READ]
    assert store.known(FILES) == Known({}, {"list": ("entry", (True,))})
    assert store.comparisons()[READ] == ToolComparisons(
        shadow=1, hits=1, would_save_s=0.5, different=1, places={"result.at": 1}
    )
    assert store.pardon(None) == [("shop", "read")]
    assert store.pardon(None) == []


def test_comparisons_age_and_demotions_do_not(store: Store) -> None:
    store.write([session(), call(), comparison(), demotion()])
    store.upkeep(NOW + 40 * DAY_S, 30)
    assert store.divergences(10) == []
    assert store.known(FILES).demoted == {"read": "entry"}


def test_forgetting_a_server_forgets_both(store: Store) -> None:
    store.write([session(), comparison(), demotion(), demotion(scope=SHOP)])
    store.forget("files")
    assert store.known(FILES) == NOTHING_KNOWN
    assert store.known(SHOP).demoted == {"read": "entry"}
    assert store.divergences(10) == []


def test_what_is_hidden_in_results_is_hidden_in_both_sides() -> None:
    secret = (
        b'{"content":[{"type":"text","text":"{\\"api_key\\":\\"s3cret\\"}"}],"structuredContent":{"api_key":"s3cret"}}'
    )
    row = comparison(early=secret, real=secret, arguments={"api_key": "s3cret", "path": "/a"})
    for records_results in (True, False):
        cleaned = Cleaner(Redactor(["api_key"]), records_results).clean(row)
        assert isinstance(cleaned, ComparisonRow)
        assert "s3cret" not in repr(cleaned)
        assert (cleaned.early is not None) is (cleaned.real is not None) is records_results


def test_a_result_that_is_no_json_is_not_kept() -> None:
    cleaned = Cleaner(Redactor([]), True).clean(comparison(early=b"\xff", real=b'{"a":1}'))
    assert isinstance(cleaned, ComparisonRow)
    assert (cleaned.early, cleaned.real) == (None, b'{"a":1}')
