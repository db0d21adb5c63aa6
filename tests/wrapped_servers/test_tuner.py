"""The scheduler's knob as an MCP server: the kernel's own where there is one, and its model everywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from spec_mcp.manifest import check_against_tools, load_manifest
from wrapped_servers.tuner import knob
from wrapped_servers.tuner.model import Model
from wrapped_servers.tuner.server import GOOD_ENOUGH_US, MAX_US, MIN_US, TOOLS, Tuner, suggestion
from wrapped_servers.tuner.workload import DEFAULT_US, RealWorkload

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "wrapped_servers.tuner", "--model"]
DEADLINE_S = 30


def p95_s(slice_us: int) -> float:
    model = Model(1)
    model.set_slice(slice_us)
    found = sorted(model.latencies_s(30.0))
    return found[int(0.95 * len(found))]


def said(tuner: Tuner, tool: str, **arguments: Any) -> Any:
    result = tuner.call(tool, arguments)
    (item,) = result.content
    return json.loads(item.text)  # pyright: ignore[reportAttributeAccessIssue]


# --- the model ------------------------------------------------------------------------------------------------------


def test_in_the_model_a_long_slice_waits_and_a_short_one_is_served_soon() -> None:
    assert p95_s(500) < p95_s(DEFAULT_US) < p95_s(MAX_US)
    assert p95_s(MAX_US) > 3 * p95_s(1000)


def test_the_model_does_the_same_again_and_no_request_is_quicker_than_its_work() -> None:
    once, again, other = (Model(seed).latencies_s(5.0) for seed in (1, 1, 2))
    assert once == again != other
    assert min(once) > 0.00199


# --- the kernel -----------------------------------------------------------------------------------------------------


def test_the_kernel_holds_the_slice_or_it_is_said_why_not() -> None:
    missing = knob.why_not()
    if missing is not None:
        assert "6.12" in missing or "EEVDF" in missing or "refused" in missing
        done = subprocess.run(COMMAND[:-1], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        assert done.returncode == 1
        assert b"--model serves a simulation" in done.stderr
        return
    before = knob.slice_of(0)
    try:
        knob.set_slice(0, 7000)
        assert knob.slice_of(0) == 7000
        with pytest.raises(knob.KnobError, match="asked for"):
            knob.set_slice(0, 1_000_000)  # the kernel cuts it to what it bears
    finally:
        knob.set_slice(0, before)
    workload = RealWorkload(max(os.sched_getaffinity(0)))
    try:
        workload.set_slice(9000)
        assert {knob.slice_of(process.pid) for process in workload._answering} == {9000}
        assert workload.measured.wait(DEADLINE_S), "no request was answered"
        assert min(workload.latencies_s(60.0)) > 0.00199
    finally:
        workload.close()
    assert all(process.returncode is not None for process in workload._processes)


# --- the server -----------------------------------------------------------------------------------------------------


def test_what_was_set_last_is_in_force_and_kept() -> None:
    kept: list[int] = []
    tuner = Tuner(Model(1), True, kept.append)
    said(tuner, "set_slice", slice_us=MAX_US)
    found = said(tuner, "measure", seconds=10)
    assert (found["slice_us"], found["model"]) == (MAX_US, True)
    assert found["p95_ms"] > found["mean_ms"] > 0
    assert found["suggestion_us"] == suggestion(MAX_US)
    assert said(tuner, "reset") == {"slice_us": DEFAULT_US}
    assert kept == [MAX_US, DEFAULT_US]


def test_the_rule_of_thumb_comes_to_an_end() -> None:
    slice_us, steps = MAX_US, 0
    while (following := suggestion(slice_us)) is not None:
        slice_us, steps = following, steps + 1
    assert slice_us == GOOD_ENOUGH_US
    assert steps <= 3


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("set_slice", {"slice_us": MIN_US - 1}),
        ("set_slice", {"slice_us": "fast"}),
        ("measure", {"seconds": 0}),
        ("measure", {}),
    ],
)
def test_what_is_out_of_bounds_is_an_error_and_changes_nothing(tool: str, arguments: dict[str, Any]) -> None:
    tuner = Tuner(Model(1), True)
    assert tuner.call(tool, arguments).is_error
    assert tuner.slice_us == DEFAULT_US


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_it_serves_its_tools_in_both_eras(mode: Any) -> None:
    async def body() -> None:
        parameters = StdioServerParameters(command=COMMAND[0], args=COMMAND[1:], cwd=ROOT)
        with anyio.fail_after(DEADLINE_S):
            async with Client(parameters, mode=mode) as client:
                assert [tool.name for tool in (await client.list_tools()).tools] == list(TOOLS)
                assert not (await client.call_tool("measure", {"seconds": 1})).is_error

    anyio.run(body)


# --- the manifest ---------------------------------------------------------------------------------------------------


def test_the_manifest_speaks_of_each_tool_and_verify_finds_nothing_against_it(tmp_path: Path) -> None:
    listed = [tool.model_dump(by_alias=True, exclude_none=True) for tool in TOOLS.values()]
    comparison = check_against_tools(load_manifest(ROOT / "manifests" / "tuner.toml"), listed)
    assert (comparison.errors, comparison.notes, comparison.warnings) == ((), (), ())
    command = [sys.executable, "-m", "spec_mcp", "manifest", "verify", "tuner", "--runs", "2", "--json", "--"]
    env = {"SPEC_MCP_HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [*command, *COMMAND[:-1]], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
