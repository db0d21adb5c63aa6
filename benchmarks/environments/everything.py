"""`spec-mcp bench all`: every comparison, one after the other, and one report of them as a web page and as JSON."""

from __future__ import annotations

import argparse
import html
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.environments.reporting import Report, Row, Spread, versions
from benchmarks.environments.running import ROOT
from spec_mcp.cli.progress import progress
from spec_mcp.cli.text import count
from spec_mcp.errors import UserError
from spec_mcp.replay import plots

RESULTS = ROOT / "benchmarks" / "results"


@dataclass(frozen=True, slots=True)
class Part:
    """One comparison."""

    module: str
    title: str
    environment: bool = True
    """It prints rows beside the paper's, and draws; the others print a table of their own."""
    options: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As `spec-mcp bench` calls an environment."""
        return self.module.rpartition(".")[2]


PARTS = (
    Part("theory", "Proposition 1, and what lies beyond it", environment=False),
    Part("environments.chess", "Chess"),
    Part("environments.retail", "Customer service"),
    Part("environments.hotpotqa", "Multi-hop search"),
    Part("environments.tuning", "Tuning the operating system"),
    Part("speculators", "Models that guess", environment=False),
    Part("prediction", "Prediction on recorded sessions", environment=False),
    Part("reversible", "Early writes", environment=False),
    Part("overhead", "What the proxy adds to a call", environment=False),
    Part("gateway.overhead", "What the gateway adds to a call", environment=False),
)


@dataclass(frozen=True, slots=True)
class Found:
    """What came of a comparison."""

    part: Part
    status: int
    took_s: float
    """0 for one that was measured before."""
    report: Mapping[str, Any] | None
    """Of an environment."""
    text: str
    """Of the others; or why there is no report."""
    picture: str
    """As SVG, empty where there is none."""


def run(part: Part, quick: bool, folder: Path) -> Found:
    """One comparison in a process of its own, as `spec-mcp bench` runs it."""
    picture = folder / f"{part.module}.svg"
    options = [*part.options, *(["--quick"] if quick else [])]
    options += ["--json", "--plot", str(picture)] if part.environment else []
    began_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{part.module}", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "120"},
    )
    report = _report(done.stdout) if part.environment else None
    text = "" if report else (done.stdout + done.stderr[-2000:]).strip()
    drawn = picture.read_text(encoding="utf-8") if picture.is_file() else ""
    return Found(part, done.returncode, time.monotonic() - began_s, report, text, drawn)


def measured_before(part: Part, results: Path, folder: Path) -> Found | None:
    """What `spec-mcp bench NAME --json` has printed into NAME.json among the results; None where it has not.

    Raises:
        UserError: it is no such report, or its plot cannot be drawn.
    """
    file = results / f"{part.name}.json"
    if not part.environment or not file.is_file():
        return None
    told = _report(file.read_text(encoding="utf-8"))
    try:
        report = report_of(told or {})
    except (KeyError, TypeError) as error:
        raise UserError(f"{file}: it is no report of `spec-mcp bench {part.name} --json`") from error
    picture = folder / f"{part.module}.svg"
    plots.draw(picture, partial(import_module(f"benchmarks.{part.module}").paint, report))
    return Found(part, int(bool(report.differences)), 0.0, told, "", picture.read_text(encoding="utf-8"))


def _report(text: str) -> Mapping[str, Any] | None:
    try:
        return json.loads(text)
    except ValueError:
        return None


def report_of(told: Mapping[str, Any]) -> Report:
    """The report that has been told as JSON."""
    names = ("environment", "quick", "seed", "repetitions", "differences", "notes", "details")
    return Report(rows=[_row(row) for row in told["rows"]], **{name: told[name] for name in names})


def as_json(found: Sequence[Found], quick: bool) -> dict[str, Any]:
    """The whole report for programs."""
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "versions": versions(),
        "parts": {
            one.part.module: {
                "title": one.part.title,
                "status": one.status,
                "took_s": round(one.took_s, 1),
                **({"report": one.report} if one.report else {"text": one.text}),
            }
            for one in found
        },
    }


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>spec-mcp: the comparisons</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }}
body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse }}
td, th {{ padding: .2rem 1rem .2rem 0; text-align: left; vertical-align: top }}
td.number {{ text-align: right; font-variant-numeric: tabular-nums }}
tr {{ border-bottom: 1px solid #8884 }}
pre {{ overflow-x: auto; font-size: .8rem }}
figure {{ margin: 1rem 0; background: #fff; border-radius: .5rem }}
figure svg {{ max-width: 100%; height: auto }}
.bad {{ color: #d55e00; font-weight: bold }}
</style></head><body>
<h1>spec-mcp: the comparisons</h1>
<p>{about}</p>
{parts}
</body></html>
"""


def as_page(found: Sequence[Found], quick: bool) -> str:
    """The whole report for people; it needs no other file."""
    made = ", ".join(f"{name} {version}" for name, version in versions().items())
    how = "Quick runs: they show that it works, their figures say little. " if quick else ""
    about = f"{how}The paper is <em>Speculative Actions</em> (arXiv 2510.04371). Made with {html.escape(made)}."
    return PAGE.format(about=about, parts="\n".join(map(_section, found)))


def _section(found: Found) -> str:
    lines = [f"<h2>{html.escape(found.part.title)}</h2>"]
    if found.status:
        lines.append(f'<p class="bad">Ended with exit status {found.status}.</p>')
    if found.report:
        lines.append(f"<p>{html.escape(_made_with(found.report))}</p>")
        lines.append(_table([_row(row) for row in found.report["rows"]]))
        lines += [f'<p class="bad">Not the same: {html.escape(text)}</p>' for text in found.report["differences"]]
        lines += [f"<p>{html.escape(note)}</p>" for note in found.report["notes"]]
    else:
        lines.append(f"<pre>{html.escape(found.text)}</pre>")
    if found.picture:
        lines.append(f"<figure>{found.picture[found.picture.index('<svg') :]}</figure>")
    return "\n".join(lines)


def _made_with(report: Mapping[str, Any]) -> str:
    commit = report["versions"].get("commit")
    runs = [f"seed {report['seed']}", count(report["repetitions"], "repetition")]
    return ", ".join([*runs, *(["quick"] if report["quick"] else []), *([f"commit {commit}"] if commit else [])])


def _row(row: Mapping[str, Any]) -> Row:
    fields: dict[str, Any] = {**row, "ours": Spread(**row["ours"])}
    return Row(**fields)


def _table(rows: Sequence[Row]) -> str:
    heading = "<tr><th>figure</th><th>arm</th><th>ours</th><th>the paper's</th></tr>"
    return "<table>" + heading + "".join(map(_line, rows)) + "</table>"


def _line(row: Row) -> str:
    cells = [("", row.figure), ("", row.arm), (' class="number"', row.ours.text(row.unit)), ("", row.told)]
    return "<tr>" + "".join(f"<td{how}>{html.escape(text)}</td>" for how, text in cells) + "</tr>"


def main() -> int:
    """Returns the exit status: 1 where a comparison failed."""
    parser = argparse.ArgumentParser(prog="spec-mcp bench all", description="Every comparison, in one report.")
    parser.add_argument("--quick", action="store_true", help="little of everything: to see that it works")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object too")
    parser.add_argument("--only", default="", metavar="TEXT", help="those whose name holds this")
    parser.add_argument(
        "--from", dest="results", type=Path, metavar="DIR", help="take NAME.json there, where it is, in place of a run"
    )
    parser.add_argument("--folder", type=Path, default=RESULTS, metavar="DIR", help="where the report is written")
    options = parser.parse_args()
    chosen = [part for part in PARTS if options.only in part.module]
    options.folder.mkdir(parents=True, exist_ok=True)
    found: list[Found] = []
    with tempfile.TemporaryDirectory() as folder, progress("comparing", len(chosen)) as advance:
        for part in chosen:
            before = measured_before(part, options.results, Path(folder)) if options.results else None
            found.append(before or run(part, options.quick, Path(folder)))
            advance()
    report = as_json(found, options.quick)
    (options.folder / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (options.folder / "report.html").write_text(as_page(found, options.quick), encoding="utf-8")
    if options.json:
        print(json.dumps(report, indent=2))
    for one in found:
        failed = f" FAILED with exit status {one.status}" if one.status else ""
        print(f"{one.part.title}: {one.took_s:.0f} s{failed}", file=sys.stderr)
    print(f"{options.folder / 'report.html'}", file=sys.stderr)
    return int(any(one.status for one in found))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        print(f"spec-mcp: {error}", file=sys.stderr)
        sys.exit(2)
