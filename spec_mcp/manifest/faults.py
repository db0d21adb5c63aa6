"""What is wrong with a manifest, in one line that names the file, the key and the mend."""

from __future__ import annotations

from dataclasses import dataclass

from spec_mcp.tables import TableError, bare


class ManifestError(TableError):
    """A manifest that cannot be used as it is; its text is the one line to show."""


def tool_section(tool: str) -> str:
    """How a tool's table is named in a fault."""
    return f"[tools.{bare(tool)}]"


@dataclass(frozen=True, slots=True)
class ToolFault:
    """A fault in one tool's table, before the file is known."""

    tool: str
    key: str
    fault: str
    mend: str

    def error(self, file: str) -> ManifestError:
        """The fault as an exception."""
        return ManifestError(file, f"{tool_section(self.tool)} {self.key}".rstrip(), self.fault, self.mend)
