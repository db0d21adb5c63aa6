"""A manifest against the tools that a server really has."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from spec_mcp.engine.resources import placeholders
from spec_mcp.manifest.faults import ManifestError, ToolFault, tool_section
from spec_mcp.manifest.fingerprint import fingerprint
from spec_mcp.manifest.forms import FollowForm, ToolForm
from spec_mcp.manifest.load import Manifest
from spec_mcp.manifest.uses import calls, expressions
from spec_mcp.tables import bare, nearest

_OPEN_KEYWORDS = ("$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "dependentSchemas", "patternProperties")
"""A schema with one of these may take arguments that its `properties` do not list."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of holding a manifest against a tool list. Every line names the file, the key and the mend."""

    errors: tuple[ManifestError, ...]
    """The manifest says something that cannot be true of these tools."""
    faulty_tools: frozenset[str]
    """The tools that the errors are about: none of them may be speculated."""
    warnings: tuple[str, ...]
    """Tools that the server lacks, definitions that changed since the review."""
    changed: tuple[str, ...]
    """Of the warnings, those about definitions that changed: a missing tool does no harm to a client."""
    notes: tuple[str, ...]
    """Tools that the manifest does not list."""


def check_against_tools(manifest: Manifest, tools: Sequence[Mapping[str, Any]]) -> Comparison:
    """Compare a manifest with the `tools` of a complete `tools/list`."""
    by_name = {tool["name"]: tool for tool in tools if isinstance(tool.get("name"), str)}
    faults: list[ToolFault] = []
    warnings: list[str] = []
    changed: list[str] = []
    for name, form in manifest.form.tools.items():
        if name not in by_name:
            if manifest.form.manifest.varies:
                continue
            mend = f"did you mean {near}?" if (near := nearest(name, by_name)) else "remove it, if no version has it"
            warnings.append(_line(manifest, name, "the server has no such tool", mend))
            continue
        faults.extend(ToolFault(name, *fault) for fault in _faults(form, by_name[name], by_name, manifest.form.tools))
        if form.fingerprint is not None and form.fingerprint != fingerprint(by_name[name]):
            fault = "the definition changed since it was reviewed, so the tool is unsafe"
            changed.append(_line(manifest, name, fault, "review it, then run `spec-mcp manifest lock`"))
    return Comparison(
        errors=tuple(fault.error(manifest.file) for fault in faults),
        faulty_tools=frozenset(fault.tool for fault in faults),
        warnings=(*warnings, *changed),
        changed=tuple(changed),
        notes=tuple(
            _line(manifest, name, "not listed, so the tool is unsafe", "list it, if it only reads")
            for name in by_name
            if name not in manifest.form.tools
        ),
    )


def is_possible(tool: Mapping[str, Any], follow: FollowForm, by_name: Mapping[str, Mapping[str, Any]]) -> bool:
    """Do the schemas of these tools bear that such a call follows this tool's?"""
    form = ToolForm(followed_by=[follow])
    return next(_faults(form, tool, by_name, by_name), None) is None


def _line(manifest: Manifest, tool: str, fault: str, mend: str) -> str:
    return str(ManifestError(manifest.file, tool_section(tool), fault, mend))


Fault = tuple[str, str, str]


def _faults(
    form: ToolForm, tool: Mapping[str, Any], by_name: Mapping[str, Mapping[str, Any]], listed: Collection[str]
) -> Iterator[Fault]:
    own = _arguments(tool)
    for index, template in enumerate(form.touches or ()):
        yield from _unknown(f"touches[{index}]", placeholders(template), own)
    if form.fresh is not None and form.fresh.file is not None:
        yield from _unknown("fresh.file", placeholders(form.fresh.file), own)
    for argument in form.equal_arguments:
        yield from _unknown(f"equal.{bare(argument)}", [argument], own)
    yield from _expression_faults(form, own)
    yield from _surrogate_faults(form, by_name)
    for use in calls(form):
        called = by_name.get(use.tool)
        if called is not None:
            for argument in use.arguments:
                yield from _unknown(f"{use.key}.arguments.{bare(argument)}", [argument], _arguments(called))
            for argument in sorted(_required(called) - use.arguments.keys()):
                mend = f"add {bare(argument)} = …: without it the call fails"
                yield f"{use.key}.arguments", f"{use.tool} requires {argument}", mend
        elif use.must_read or use.key == "undo" or use.tool not in listed:
            near = nearest(use.tool, by_name)
            mend = f"did you mean {near}?" if near else "name a tool of this server"
            yield f"{use.key}.tool", f"the server has no tool {use.tool}", mend


_GUESSES_FORM = 'let it answer {"guesses": [{"result": …, "confidence": 0.4}]}'


def _surrogate_faults(form: ToolForm, by_name: Mapping[str, Mapping[str, Any]]) -> Iterator[Fault]:
    """Does the surrogate's output schema, where it has one that says all, bear guesses?"""
    surrogate = None if form.surrogate is None else by_name.get(form.surrogate.tool)
    if surrogate is None:
        return
    name = surrogate["name"]
    members = _members(surrogate.get("outputSchema"))
    if members is None:
        return
    if "guesses" not in members:
        yield "surrogate.tool", f"{name} answers no guesses, its output schema says", _GUESSES_FORM
        return
    guesses = members["guesses"]
    each = _members(cast("dict[str, Any]", guesses).get("items")) if isinstance(guesses, dict) else None
    for member in ("result", "confidence"):
        if each is not None and member not in each:
            yield "surrogate.tool", f"the guesses of {name} have no {member}, its output schema says", _GUESSES_FORM


def _members(schema: object) -> dict[str, Any] | None:
    """The properties of an object; None where its schema does not say them all."""
    if not isinstance(schema, dict):
        return None
    schema = cast("dict[str, Any]", schema)
    if any(keyword in schema for keyword in _OPEN_KEYWORDS) or schema.get("additionalProperties"):
        return None
    properties = schema.get("properties")
    return cast("dict[str, Any]", properties) if isinstance(properties, dict) else None


def _expression_faults(form: ToolForm, own: frozenset[str] | None) -> Iterator[Fault]:
    uses = list(expressions(form))
    if not uses or own is None:
        return
    from spec_mcp.manifest.expressions import parse  # jmespath, only where there are expressions

    for use in uses:
        yield from _unknown(use.key, sorted(parse(use.text).arguments), own)


def _unknown(key: str, names: Iterable[str], known: frozenset[str] | None) -> Iterator[Fault]:
    if known is None:
        return
    for name in names:
        if name not in known:
            near = nearest(name, known)
            listed = f"use one of: {', '.join(sorted(known))}" if known else "the tool takes no arguments"
            yield key, f"the tool has no argument {name}", f"did you mean {near}?" if near else listed


def _arguments(tool: Mapping[str, Any]) -> frozenset[str] | None:
    """The names of a tool's arguments; None where its schema does not say them all."""
    schema = tool.get("inputSchema")
    if not isinstance(schema, dict):
        return None
    schema = cast("dict[str, Any]", schema)
    if any(keyword in schema for keyword in _OPEN_KEYWORDS) or schema.get("additionalProperties"):
        return None
    properties = schema.get("properties", {})
    return frozenset(cast("dict[str, Any]", properties)) if isinstance(properties, dict) else None


def _required(tool: Mapping[str, Any]) -> frozenset[str]:
    """The arguments without which a call of the tool is refused, as far as its schema says."""
    schema = tool.get("inputSchema")
    required: object = cast("dict[str, Any]", schema).get("required") if isinstance(schema, dict) else None
    if not isinstance(required, list):
        return frozenset()
    return frozenset(name for name in cast("list[object]", required) if isinstance(name, str))
