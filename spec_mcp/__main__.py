"""The program. `wrap` is dispatched before the command-line library is imported: a client waits for its start."""

from __future__ import annotations

import sys

SERVING = ("wrap",)
"""Commands that serve a client, and have a parser of their own that imports little."""

DONE = 0
FAILED = 1
BAD_USAGE = 2


def main() -> None:
    """Run the command line; ends the process with the command's exit status."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Carry out a command line without the program's name; the exit status."""
    from spec_mcp.errors import Failed, UserError

    try:
        if arguments and arguments[0] in SERVING and not _asks_for_help(arguments):
            from spec_mcp.relay import wrap

            return wrap.main(arguments[1:])
        from spec_mcp.cli.app import run_command

        return run_command(arguments)
    except UserError as error:
        return _report(error, BAD_USAGE)
    except Failed as error:
        return _report(error, FAILED)


def _asks_for_help(arguments: list[str]) -> bool:
    """Is the help asked of us, and not of the command that follows `--`?"""
    ours = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--help" in ours or "-h" in ours


def _report(error: Exception, status: int) -> int:
    from spec_mcp.errors import printable

    try:
        print("spec-mcp:", printable(" ".join(str(error).split())), file=sys.stderr)
    except (OSError, ValueError):  # nobody reads it
        return status
    return status


if __name__ == "__main__":
    main()
