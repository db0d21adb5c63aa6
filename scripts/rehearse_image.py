#!/usr/bin/env python3
"""The steps of the Dockerfile where there is no container engine: `.venv/bin/python scripts/rehearse_image.py`.

Every COPY and RUN on the way to the default image is carried out below a temporary folder in the place of `/`, but for
what only a distribution's image can do (packages, users): that is said and left out. Then the entry point is started
as the image starts it, as an unprivileged user where we may, and its probes, its metrics, its health check and its end
are looked at.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).resolve().parents[1]
OF_AN_IMAGE = ("apt-get", "groupadd")
"""Steps that begin so need a distribution's image."""

PLACES = re.compile(r"(?<![\w.-])/(?:opt|src|dist|var/lib|etc)\b")
"""Where the image keeps things, as its steps name them."""

WAIT_S = 60.0
PORT = 8765


class Failed(Exception):  # noqa: N818  the answer is no
    """A step did not do what it should."""


@dataclass
class Stage:
    """One of the Dockerfile's."""

    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Instructions and what they say."""


@dataclass
class Rehearsal:
    """What the steps have made so far."""

    folder: Path
    python: Path
    work: Path
    env: dict[str, str]
    said: dict[str, str] = field(default_factory=dict[str, str])
    """What the last stage says of how it is started."""

    def inside(self, text: str) -> str:
        """The same with the image's places below our folder."""
        return PLACES.sub(lambda found: f"{self.folder}{found[0]}", text)

    def carry_out(self, stage: Stage, stages: Mapping[str, Stage]) -> None:
        """All its steps, after those that they rest on."""
        for instruction, value in stage.steps:
            print(f"  {instruction} {value}", flush=True)
            if instruction == "RUN":
                self._run(value)
            elif instruction == "COPY":
                self._copy(shlex.split(value), stages)
            elif instruction == "WORKDIR":
                self.work = Path(self.inside(value))
                self.work.mkdir(parents=True, exist_ok=True)
            elif instruction == "ENV":
                self._set(value)
            else:
                self.said[instruction] = value

    def _set(self, value: str) -> None:
        for name, text in (pair.split("=", 1) for pair in shlex.split(value)):
            self.env[name] = self.inside(text).replace("$PATH", self.env["PATH"])

    def _run(self, command: str) -> None:
        if command.startswith(OF_AN_IMAGE):
            print("    left out: it takes a distribution's image")
            return
        env = {**self.env, "UV_COMPILE_BYTECODE": "0"}  # nobody starts it a second time
        done = subprocess.run(["sh", "-ec", self.inside(command)], cwd=self.work, env=env, check=False)
        if done.returncode:
            raise Failed(f"RUN {command}: exit status {done.returncode}")

    def _copy(self, words: Sequence[str], stages: Mapping[str, Stage]) -> None:
        *sources, target = [word for word in words if not word.startswith("--")]
        origin = next((word.removeprefix("--from=") for word in words if word.startswith("--from=")), None)
        if origin is not None:
            self._come_by(origin, sources, stages)
            return
        for source in sources:
            place = self.work / target / source if target.endswith("/") else self.work / target
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(ROOT / source, place)

    def _come_by(self, origin: str, sources: Sequence[str], stages: Mapping[str, Stage]) -> None:
        """All stages share our folder: what another made is there already."""
        if not stages[origin].steps:
            print(f"    left out: {origin} is this machine's own")
        elif missing := [source for source in sources if not Path(self.inside(source)).exists()]:
            raise Failed(f"COPY --from={origin}: there is no {missing[0]}")


def stages_of(dockerfile: Path) -> tuple[dict[str, Stage], Stage]:
    """All stages by name, those that are another's by both names, and the last one."""
    arguments: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    last: Stage | None = None
    for step in DockerfileParser(path=str(dockerfile)).structure:
        instruction, value = step["instruction"], step["value"]
        if instruction == "ARG" and last is None:
            name, _, default = value.partition("=")
            arguments[f"${{{name}}}"] = default
        elif instruction == "FROM":
            base, _, name = value.partition(" AS ")
            last = Stage(name or "the image", arguments.get(base, base))
            stages[last.name] = last
        elif instruction != "COMMENT" and last is not None:
            last.steps.append((instruction, value))
    if last is None:
        raise Failed("no FROM")
    return stages, last


def needed(stage: Stage, stages: Mapping[str, Stage]) -> Iterator[Stage]:
    """It, and before it all that it rests on."""
    names = [stage.base]
    names += [found[1] for kind, value in stage.steps if kind == "COPY" and (found := re.match(r"--from=(\S+)", value))]
    for name in names:
        if name in stages:
            yield from needed(stages[name], stages)
    yield stage


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="spec-mcp-image-"))
    folder.chmod(0o755)
    try:
        rehearse(folder)
    except Failed as error:
        print(f"rehearse_image: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("the image's steps and its start are fine, without a container engine")
    return 0


def rehearse(folder: Path) -> None:
    python = readable_python()
    path = f"{python.parent}:{uv_folder()}:{os.environ['PATH']}"
    env = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    rehearsal = Rehearsal(folder, python, folder, {**env, "PATH": path, "UV_LINK_MODE": "copy"})
    stages, last = stages_of(ROOT / "Dockerfile")
    for stage in dict.fromkeys(one.name for one in needed(last, stages)):
        print(f"stage {stage}")
        rehearsal.carry_out(stages[stage], stages)
    start_and_end(rehearsal)


def readable_python() -> Path:
    """A Python of the image's version that other users may run too, or else ours."""
    for folder in ("/usr/local/bin", "/usr/bin"):
        found = Path(folder) / "python3.11"
        if found.exists() and not str(found.resolve()).startswith("/root"):
            return found
    return Path(sys.executable)


def uv_folder() -> Path:
    """Where this machine's uv is; one of our own is fetched where there is none."""
    subprocess.run([ROOT / "scripts" / "uv", "--version"], check=True, stdout=subprocess.DEVNULL)
    found = shutil.which("uv")
    return Path(found).parent if found else ROOT / ".tools" / "bin"


def start_and_end(rehearsal: Rehearsal) -> None:
    """Start what the image starts, and look at it."""
    folder = rehearsal.folder
    config = folder / "etc" / "spec-mcp" / "config.toml"
    config.parent.mkdir(parents=True)
    text = (ROOT / "deploy" / "config.toml").read_text()
    text = text.replace("0.0.0.0:9464", "127.0.0.1:0").replace("notice_s = 5", "notice_s = 1")
    config.write_text(re.sub(r'"postgresql:.*"', '"sqlite:"', text))
    home = folder / "var" / "lib" / "spec-mcp"
    home.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    entry = [word for word in json.loads(rehearsal.said["ENTRYPOINT"]) if word not in ("tini", "--")]
    command = [rehearsal.inside(word) for word in entry + json.loads(rehearsal.said["CMD"])]
    command = [word.replace(f"0.0.0.0:{PORT}", f"127.0.0.1:{port}") for word in command]
    program = shutil.which(command[0], path=rehearsal.env["PATH"])
    if program is None or not Path(program).is_relative_to(folder):
        raise Failed(f"{command[0]} is not the image's own: {program}")
    env = {
        "PATH": f"{folder}/opt/spec-mcp/bin:/usr/bin:/bin",
        "SPEC_MCP_HOME": str(home),
        "SPEC_MCP_TOKEN": "rehearsed",
    }
    user = unprivileged(rehearsal, home)
    print(f"starting {' '.join(command)} as {'this user' if user is None else f'user {user}'}", flush=True)
    process = subprocess.Popen(
        [program, *command[1:]], env=env, cwd=folder, stderr=subprocess.PIPE, text=True, user=user, group=user,
        extra_groups=None if user is None else [],
    )  # fmt: skip
    try:
        look(process, f"http://127.0.0.1:{port}", rehearsal, env)
    finally:
        process.kill()
        process.wait()


def unprivileged(rehearsal: Rehearsal, home: Path) -> int | None:
    """The image's user, where we may become it and it may run the image's Python."""
    number = int(rehearsal.said["USER"].partition(":")[0])
    if os.geteuid() != 0 or str(rehearsal.python.resolve()).startswith("/root"):
        return None
    os.chown(home, number, number)
    return number


def look(process: subprocess.Popen[str], root: str, rehearsal: Rehearsal, env: Mapping[str, str]) -> None:
    assert process.stderr is not None
    lines: list[str] = []
    while not lines or "/mcp" not in lines[-1]:
        line = process.stderr.readline()
        if not line:
            raise Failed(f"it does not serve: {''.join(lines)}")
        lines.append(line)
    metrics = next(found[0] for line in lines if (found := re.search(r"http://\S+/metrics", line)))
    for address, wanted, within in (
        (root + "/healthz", 200, '"alive":true'),
        (root + "/readyz", 200, '"ready":true'),
        (root + "/mcp", 401, "token"),
        (metrics, 200, "spec_mcp_calls_in_flight"),
    ):
        status, body = get(address)
        if status != wanted or within not in body:
            raise Failed(f"{address}: {status}, {body[:200]}")
        print(f"  {address}: {status}")
    check = json.loads(rehearsal.said["HEALTHCHECK"].partition(" CMD ")[2])
    check = [word.replace(f"http://127.0.0.1:{PORT}", root) for word in check]
    subprocess.run(check, env=dict(env), check=True, timeout=WAIT_S)
    print("  HEALTHCHECK: healthy")
    process.send_signal(signal.SIGTERM)
    deadline_s = time.monotonic() + WAIT_S
    while get(root + "/readyz")[0] != 503:
        if time.monotonic() > deadline_s or process.poll() is not None:
            raise Failed("after SIGTERM it never said that it is not ready")
    if (status := process.wait(WAIT_S)) != 0:
        raise Failed(f"it ended with {status}")
    print("  SIGTERM: not ready, then exit status 0")


def get(address: str) -> tuple[int, str]:
    """The status of an answer and its text; 0 where nobody answers."""
    try:
        with urllib.request.urlopen(address, timeout=WAIT_S) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


if __name__ == "__main__":
    sys.exit(main())
