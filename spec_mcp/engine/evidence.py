"""What comparisons say of a tool, and when they say enough to speculate it no more.

A tool whose resources change through us alone, or whose validator held before and after, cannot honestly give two
results: one that differs demotes it. Of any other tool the manifest itself says that the world may change unseen, and
that a client may see a result up to `ttl_s` old: one difference may be such a change. A second one among the last
`REMEMBERED` comparisons says that it happens often enough to be met, and demotes too. What differs only in values that
go with the time or the request counts as the same here; it is shown to people.

A demotion, and the comparisons that led to it, hold for what the manifest says of the tool: another entry begins anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from spec_mcp.engine.effects import ServerPolicy, ToolPolicy, entry_of, reads
from spec_mcp.engine.events import Known

REMEMBERED = 20
"""Comparisons of a tool that count: one difference in twenty is borne where the manifest foresees it."""

BORNE = 1
"""Differences among them that a changing world may cause."""


@dataclass(slots=True)
class Evidence:
    """Of one server's tools."""

    _tools: Mapping[str, ToolPolicy] = field(default_factory=dict[str, ToolPolicy])
    _entries: dict[str, str] = field(default_factory=dict[str, str])
    """The digests asked for so far: few of them ever are, and a session begins sooner without the others."""
    _demoted: dict[str, str] = field(default_factory=dict[str, str])
    _differed: dict[tuple[str, str], deque[bool]] = field(default_factory=dict[tuple[str, str], "deque[bool]"])

    def review(self, policy: ServerPolicy) -> None:
        """This is what the manifest says now."""
        self._tools, self._entries = policy.tools, {}

    def entry(self, tool: str) -> str | None:
        """The digest of what the manifest says of a read; None of any other tool."""
        found = self._entries.get(tool)
        if found is None and tool in self._tools and reads(self._tools[tool]):
            found = self._entries[tool] = entry_of(self._tools[tool])
        return found

    def learn(self, known: Known) -> None:
        """This was known before."""
        self._demoted = {**known.demoted, **self._demoted}
        for tool, (entry, differed) in known.compared.items():
            if (tool, entry) not in self._differed:
                self._differed[tool, entry] = deque(differed, maxlen=REMEMBERED)

    def is_demoted(self, tool: str) -> bool:
        """Is it not to be speculated, by what the manifest says now?"""
        return bool(self._demoted) and tool in self._demoted and self._demoted[tool] == self.entry(tool)

    def convicts(self, tool: str, policy: ToolPolicy, entry: str, differs: bool) -> bool:
        """Take note of a comparison. True where the tool is demoted by it, and was not before."""
        if entry != self.entry(tool):
            return False
        recent = self._differed.setdefault((tool, entry), deque(maxlen=REMEMBERED))
        recent.append(differs)
        borne = 0 if policy.exclusive or policy.fresh is not None else BORNE
        if sum(recent) <= borne or self.is_demoted(tool):
            return False
        self._demoted[tool] = entry
        return True

    def outdated(self) -> list[str]:
        """Forget demotions of tools of which the manifest now says something else; which they were."""
        gone = [tool for tool, entry in self._demoted.items() if self.entry(tool) not in (None, entry)]
        for tool in gone:
            del self._demoted[tool]
        return gone
