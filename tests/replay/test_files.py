"""Several files at once: what is printed does not hang on how many processes play them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spec_mcp.__main__ import run
from spec_mcp.engine.policy import Settings
from spec_mcp.records import Session, read_sessions, write_sessions
from spec_mcp.replay.evaluate import Evaluation, Options
from spec_mcp.replay.files import Work, play_files
from tests.replay.recorded import read, session, write

BOUND_S = 60.0

TELLING = """
import sys
from contextlib import contextmanager
from spec_mcp.__main__ import run
from spec_mcp.cli import replay

@contextmanager
def meter(title):
    yield lambda played, found: print("playing", flush=True) if played else None

if __name__ == "__main__":
    replay.meter = meter
    sys.exit(run(sys.argv[1:]))
"""
"""The program, with a bar that says that it has begun."""


def shop(name: str, orders: int) -> list[Session]:
    """Sessions that look orders up, each item of which is looked up next."""
    return [
        session(
            read("find_user", {"name": f"{name}-{number}"}, {"orders": [f"#{name}{number}", f"#{name}{number}b"]}),
            read("get_order", {"order": f"#{name}{number}"}, {"item": number * 7}),
            read("get_order", {"order": f"#{name}{number}b"}, {"item": number * 7 + 1}),
            write("cancel", {"order": f"#{name}{number}"}),
            name=f"{name}-{number}",
        )
        for number in range(orders)
    ]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Three files, of which the last is the largest."""
    paths: list[Path] = []
    for name, orders in (("a", 4), ("b", 9), ("c", 30)):
        paths.append(tmp_path / f"{name}.jsonl")
        write_sessions(paths[-1], shop(name, orders))
    return paths


def figures(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> list[dict[str, object]]:
    assert run(["replay", "--json", *map(str, arguments)]) == 0
    reports = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [{name: value for name, value in report.items() if "decide_ms" not in name} for report in reports]


def test_the_figures_are_those_of_one_process_in_the_order_given(
    files: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    alone = figures(capsys, "--jobs", "1", *files)
    assert [report["sessions"] for report in alone] == [4, 9, 30]
    assert figures(capsys, "--jobs", "2", *files) == alone


def test_what_was_learned_first_is_handed_over_whole(files: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    def taught(path: Path) -> object:
        evaluation = Evaluation(Options(settings=Settings(wasted_call_s=0.2)))
        for name in (files[2], files[0]):
            evaluation.train(list(read_sessions(name)), [])
        return evaluation.play(list(read_sessions(path)), []).answered

    training = ("--train", files[2], "--train", files[0])
    alone = figures(capsys, "--jobs", "1", *training, *files)
    assert figures(capsys, "--jobs", "3", *training, *files) == alone
    assert [report["answered"] for report in alone] == [taught(path) for path in files]


def test_an_error_is_told_in_one_line_after_the_figures_before_it(
    files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text("{}\nnothing\n")
    told: list[tuple[int, str]] = []
    for jobs in ("1", "2"):
        status = run(["replay", "--json", "--jobs", jobs, *map(str, [files[0], broken, files[1]])])
        captured = capsys.readouterr()
        assert [json.loads(line)["sessions"] for line in captured.out.splitlines()] == [4]
        told.append((status, captured.err))
    assert told[0] == told[1]
    assert told[0][0] == 2
    assert told[0][1].startswith(f"spec-mcp: {broken}")
    assert told[0][1].count("\n") == 1


@pytest.mark.parametrize("jobs", [1, 2])
def test_all_calls_are_counted_as_they_are_played(files: list[Path], jobs: int) -> None:
    seen: list[tuple[int, int]] = []
    list(play_files(files, [files[0]], Work(Options()), jobs, lambda played, found: seen.append((played, found))))
    assert seen == sorted(seen)
    assert seen[-1] == (4 * (4 + 4 + 9 + 30),) * 2


def test_ctrl_c_ends_all_processes_without_a_word(tmp_path: Path) -> None:
    longer = [tmp_path / f"{name}.jsonl" for name in "de"]
    for path in longer:
        write_sessions(path, shop(path.stem, 3_000))
    script = tmp_path / "telling.py"
    script.write_text(TELLING)
    command = [sys.executable, str(script), "replay", "--json", "--jobs", "2", *map(str, longer)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as replaying:
        assert replaying.stdout is not None
        assert replaying.stdout.readline() == "playing\n"
        os.killpg(replaying.pid, signal.SIGINT)
        _, said = replaying.communicate(timeout=BOUND_S)  # until all that write there have ended
    assert replaying.returncode == 128 + signal.SIGINT
    assert said.strip() == ""
