"""Which servers lead all replicas to one world, and what tells one world from another."""

from __future__ import annotations

from pathlib import Path

import pytest

from spec_mcp.config import Server, load_config
from spec_mcp.engine.engine import Engine
from spec_mcp.engine.policy import Settings
from spec_mcp.relay.back.address import Address
from spec_mcp.relay.back.tokens import FileKeeping
from spec_mcp.relay.board.opening import Shared, world_of
from spec_mcp.relay.deciding import Deciding
from spec_mcp.relay.making import not_kept, settings_of
from spec_mcp.store.place import Place, Remote

URL = "http://127.0.0.1:9/mcp"


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """By server, the world that the engine is told of."""
    monkeypatch.setattr("spec_mcp.relay.back.tokens.import_module", _no_keyring)
    deciding = Deciding(Engine(Settings(board=True), {}), lambda: 0.0)
    nowhere = Remote("postgresql://127.0.0.1:9/none")
    shared = Shared(
        load_config(None), nowhere, tmp_path, deciding, lambda task: None, lambda delay_s, task: lambda: None
    )
    FileKeeping(tmp_path).set(str(Address("http://127.0.0.1:9/login", {})), "{}")
    for name, server in {
        "remote": Server(url=URL),
        "process": Server(command="true"),
        "logged in": Server(url="http://127.0.0.1:9/login"),
        "with a token": Server(url="http://127.0.0.1:9/login", headers={"Authorization": "Bearer x"}),
    }.items():
        shared.serve(name, server)
    shared.end()
    assert deciding.engine is not None
    assert deciding.engine.world.board is not None
    return deciding.engine.world.board.worlds


def _no_keyring(name: str) -> None:
    raise ImportError(name)


def test_results_of_remote_servers_are_for_all_replicas_unless_a_login_of_this_machine_is_behind_them(
    told: dict[str, str],
) -> None:
    assert set(told) == {"remote", "with a token"}


def test_a_world_is_told_by_its_address_and_what_is_shown_there() -> None:
    one = Server(url=URL, headers={"A": "1"})
    others = [Server(url=URL), Server(url=URL + "/"), Server(url=URL, headers={"A": "2"}), Server(url=URL, type="sse")]
    assert world_of(one) == world_of(Server(url=URL, headers={"A": "1"}))
    assert len({world_of(server) for server in (one, *others)}) == 5


@pytest.mark.parametrize("key", ["reversible", "lossy", "attach"])
def test_what_cannot_go_by_the_board_is_off_and_said_to_be(tmp_path: Path, key: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f"[speculation]\n{key} = true\n")
    config, here, shared = load_config(path), Place(tmp_path), Place(tmp_path, Remote("postgresql://h/d"))
    assert not_kept(config, here) == []
    assert [word for word in not_kept(config, shared) if key in word]
    assert getattr(settings_of(config), key)
    assert not getattr(settings_of(config, board=True), key)
