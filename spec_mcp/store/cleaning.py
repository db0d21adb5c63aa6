"""Makes of a row what may be kept of it: decoded, redacted, and in the form of the recorded sessions."""

from __future__ import annotations

import dataclasses
import json
from typing import cast

import msgspec

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.store.redaction import Redactor, dumps
from spec_mcp.store.rows import CallRow, ComparisonRow, Row, SpeculationRow, TextRow

NO_ARGUMENTS = b"{}"


class Cleaner:
    """The duties of the record towards its user: `redact` and `record_results`. Used by the worker thread alone."""

    def __init__(self, redactor: Redactor, record_results: bool) -> None:
        self._redactor = redactor
        self._record_results = record_results

    def clean(self, row: Row) -> Row:
        """The row as it may be kept. What cannot be looked through is left out."""
        if isinstance(row, CallRow):
            arguments = None if row.arguments is None else self._arguments(row.arguments)
            result_bytes = row.result_bytes or len(row.result or b"")
            return dataclasses.replace(
                row, arguments=arguments, result=self._result(row.result), result_bytes=result_bytes
            )
        if isinstance(row, TextRow):
            # what is said holds results as often as not: who wants no results kept wants none of it kept
            return dataclasses.replace(row, text=self._redactor.clean_text(row.text) if self._record_results else "")
        if isinstance(row, SpeculationRow):
            return dataclasses.replace(row, arguments=self._decoded_arguments(row.arguments))
        if isinstance(row, ComparisonRow):
            if row.arguments is None:
                return row
            return dataclasses.replace(
                row,
                arguments=self._decoded_arguments(row.arguments),
                early=self._whole(row.early),
                real=self._whole(row.real),
            )
        return row

    def _decoded_arguments(self, arguments: bytes | Arguments) -> bytes:
        if isinstance(arguments, bytes):
            return self._arguments(arguments) or NO_ARGUMENTS
        return dumps(self._redactor.clean(arguments)) or NO_ARGUMENTS

    def _whole(self, text: bytes | None) -> bytes | None:
        """An answer as it came, to be held beside another: what differs may be in any part of it."""
        return None if text is None or not self._record_results else self._redactor.clean_json(text)

    def _arguments(self, text: bytes) -> bytes | None:
        # most texts hold nothing that is hidden: they are kept as they came, if they are the JSON of other readers too
        if not self._redactor.may_hide(text) and _quick(text) is not None:
            return text
        return self._redactor.clean_json(text)

    def _result(self, text: bytes | None) -> bytes | None:
        if text is None or not self._record_results:
            return None
        try:
            if not self._redactor.may_hide(text) and (quick := _quick(text)) is not None:
                return dumps(recorded_result(quick))
            value = recorded_result(cast("Json", json.loads(text)))
            return dumps(self._redactor.clean(value))
        except (ValueError, RecursionError):
            return None


def _quick(text: bytes) -> Json:
    """The value of a text that the fast codec takes; None where it does not, or where the value is null."""
    try:
        return cast("Json", msgspec.json.decode(text))
    except (ValueError, RecursionError):
        return None


def recorded_result(value: Json) -> Json:
    """What a recorded session holds of an answer: its `structuredContent`, else the text of its items, else itself."""
    if not isinstance(value, dict):
        return value
    structured = value.get("structuredContent")
    if structured is not None:
        return structured
    content = value.get("content")
    if not isinstance(content, list):
        return value
    texts = [item["text"] for item in content if isinstance(item, dict) and isinstance(item.get("text"), str)]
    return "\n".join(cast("list[str]", texts))
