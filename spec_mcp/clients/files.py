"""Reading clients' files, and replacing them as a whole: at every moment the old text or the new one is there."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from pathlib import Path

from spec_mcp.clients.faults import ClientFileError
from spec_mcp.errors import Failed

MAX_BYTES = 64_000_000
"""Claude Code keeps a history in its file; one that is larger still was named by mistake."""

BACKUPS_KEPT = 10
"""Of each file: enough to find the last good one, and no heap."""

PRIVATE = 0o600
PRIVATE_FOLDER = 0o700


class Changed(Exception):  # noqa: N818  a race that was lost, and can be run again
    """Somebody else has written the file since it was read."""


def read_bytes(file: Path) -> bytes:
    """A client's file.

    Raises:
        ClientFileError: it cannot be read.
    """
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ClientFileError(str(file), "", "larger than any client's configuration", "name another file")
        return file.read_bytes()
    except OSError as error:
        fault = f"cannot be read: {error.strerror or error}"
        raise ClientFileError(str(file), "", fault, "check the name and its permissions") from error


def text_of(data: bytes, file: Path) -> str:
    """Its text, with line ends and byte order mark as they are.

    Raises:
        ClientFileError: it is not UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ClientFileError(str(file), "", f"no UTF-8 text at byte {error.start}", "save it as UTF-8") from error


def replace_file(file: Path, before: bytes, after: bytes) -> None:
    """Put other bytes in the place of these, with the same permissions and owner; a link stays, and leads there.

    Raises:
        Changed: the file holds something else by now; it was left so.
        Failed: it cannot be written; it is as it was.
    """
    target = Path(os.path.realpath(file))
    draft = target.with_name(f".{target.name}.spec-mcp-{os.getpid()}")
    try:
        status = target.stat()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
        _write(draft, after, PRIVATE)
        try:
            _take_after(draft, status)
            if target.read_bytes() != before:  # what comes between here and the next line is the only race left
                raise Changed
            os.replace(draft, target)
        except BaseException:
            os.unlink(draft)
            raise
        _sync_folder(target.parent)
    except OSError as error:
        raise Failed(f"{target}: cannot be written: {error.strerror or error}: it is as it was") from error


def write_private(path: Path, data: bytes) -> None:
    """Write a file for the user alone, as a whole.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(draft)
    _write(draft, data, PRIVATE)
    os.replace(draft, path)


def back_up(folder: Path, stem: str, suffix: str, data: bytes) -> Path:
    """Keep a copy of a client's file for the user alone; the oldest of many goes.

    Raises:
        OSError: it cannot be written.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S")
    number, path = 1, folder / f"{stem}-{stamp}{suffix}"
    while path.exists():
        number += 1
        path = folder / f"{stem}-{stamp}-{number}{suffix}"
    write_private(path, data)
    for old in sorted(folder.glob(f"{stem}-*{suffix}"), key=lambda found: found.stat().st_mtime_ns)[:-BACKUPS_KEPT]:
        with contextlib.suppress(OSError):
            old.unlink()
    return path


def _write(path: Path, data: bytes, mode: int) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _take_after(draft: Path, status: os.stat_result) -> None:
    own = draft.stat()
    if (own.st_uid, own.st_gid) != (status.st_uid, status.st_gid):
        os.chown(draft, status.st_uid, status.st_gid)
    os.chmod(draft, stat.S_IMODE(status.st_mode))


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not every system can; the file itself is on disk
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
