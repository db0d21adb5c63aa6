"""Runs the official conformance suite against a URL, and gives what it found as data."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gateway.running import ROOT

MODULES = ROOT / ".servers" / "conformance" / "node_modules"
SUITE = MODULES / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
REVISIONS = ("2025-11-25", "2026-07-28")
SUITE_S = 240
"""Six seconds on two cores, and two more for each session that starts a server of its own, as thirty do. A scenario
that hangs has a limit of its own, of thirty."""
LIST_S = 30

RESULT = re.compile(r"server-(?P<name>.+)-\d{4}-\d{2}-\d{2}T[\d-]+Z")
SEVERITY = {"SUCCESS": 0, "INFO": 0, "SKIPPED": 1, "WARNING": 2, "FAILURE": 3}
"""From best to worst. INFO is said where a choice that the protocol leaves open was taken."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a scenario looked at."""

    id: str
    status: str
    message: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """What one scenario found; no checks: it did not run."""

    name: str
    checks: tuple[Check, ...]

    @property
    def failures(self) -> list[str]:
        return [f"{check.id}: {check.message}" for check in self.checks if check.status == "FAILURE"]

    def worst(self) -> dict[str, Check]:
        """By id, the worst of the checks that share it."""
        found: dict[str, Check] = {}
        for check in self.checks:
            known = found.get(check.id)
            if known is None or SEVERITY[check.status] > SEVERITY[known.status]:
                found[check.id] = check
        return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run of the suite."""

    revision: str
    required: tuple[str, ...]
    """Names of the scenarios that the revision requires; others run too, for information."""
    scenarios: dict[str, Scenario]

    def failing(self) -> dict[str, list[str]]:
        """The required scenarios that fail, with the reasons."""
        found: dict[str, list[str]] = {}
        for name in self.required:
            scenario = self.scenarios.get(name)
            if scenario is None or not scenario.checks:
                found[name] = ["it did not run"]
            elif scenario.failures:
                found[name] = scenario.failures
        return found

    def worse_than(self, other: Outcome) -> list[str]:
        """Every check, required or not, that comes out worse here than there."""
        found: list[str] = []
        for name, theirs in other.scenarios.items():
            mine = self.scenarios[name].worst() if name in self.scenarios else {}
            for identity, check in theirs.worst().items():
                here = mine.get(identity)
                if here is None and check.status != "SUCCESS":
                    continue  # a remark, made only where there is something to remark
                if here is None or SEVERITY[here.status] > SEVERITY[check.status]:
                    said = f"{here.status} {here.message}" if here else "missing"
                    found.append(f"{name}, {identity}: {check.status} there, here {said}")
        return found


class SuiteFault(Exception):  # noqa: N818  what happened
    """The suite could not be run. The message holds what it printed."""


def node() -> str:
    """The Node that was installed for the suite, which needs 22; else the one on the path."""
    found = sorted(MODULES.glob("node-*/bin/node"))
    program = str(found[0]) if found else shutil.which("node")
    if program is None:
        raise SuiteFault("there is no Node: run `python tests/servers/install.py conformance`")
    return program


def run_suite(url: str, revision: str, folder: Path) -> Outcome:
    """All server scenarios of a revision against a URL; the suite's own files go to `folder`.

    Raises:
        SuiteFault: it could not be run, or took too long.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _run(["server", "--url", url, "--requirements", revision, "--output-dir", str(folder)], SUITE_S, folder)
    scenarios = dict(_scenario(place) for place in sorted(folder.glob("server-*")))
    if not scenarios:
        raise SuiteFault(f"the suite wrote nothing to {folder}")
    return Outcome(revision, required(revision), scenarios)


def required(revision: str) -> tuple[str, ...]:
    """The server scenarios that a revision requires, as the suite lists them."""
    listed = _run(["list", "--requirements", revision], LIST_S).splitlines()
    start = next(number for number, line in enumerate(listed) if line.startswith("Server scenarios"))
    return tuple(_bullets(listed[start + 1 :]))


def _bullets(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        if not line.startswith("  - "):
            return
        yield line[4:].strip()


def _run(arguments: Sequence[str], limit_s: float, folder: Path | None = None) -> str:
    command = [node(), str(SUITE), *arguments]
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise SuiteFault(f"{command} took more than {limit_s} s: {error.stdout}") from None
    if done.returncode not in (0, 1):  # 1: something failed, which is for the caller to judge
        raise SuiteFault(f"{command} ended with {done.returncode}: {done.stderr}")
    if not done.stdout:
        raise SuiteFault(f"{command} said nothing: {done.stderr}")
    return done.stdout


def _scenario(place: Path) -> tuple[str, Scenario]:
    found = RESULT.fullmatch(place.name)
    if found is None:
        raise SuiteFault(f"{place} is not named as a scenario's result is")
    checks: list[dict[str, Any]] = json.loads((place / "checks.json").read_text())
    name = found["name"]
    said = tuple(Check(check["id"], check["status"], check.get("errorMessage", "")) for check in checks)
    return name, Scenario(name, said)
