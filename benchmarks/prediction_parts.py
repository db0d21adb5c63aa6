"""Leaves one part of the model out, to see what it adds."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

from spec_mcp.predict import features, memory, mixer, model, scoring, session

PARTS = (
    "shipped weights",
    "online weights",
    "back-off",
    "coarse results",
    "whole calls",
    "how lists are walked",
    "correction",
    "weighing of correlated evidence",
)


def _patches(part: str) -> Sequence[Any]:
    if part == "shipped weights":
        return (
            mock.patch.object(model, "shipped_weights", return_value=features.plain_weights()),
            mock.patch.object(model, "shipped_correction", return_value=()),
        )
    if part == "online weights":
        return (mock.patch.object(mixer, "RATE", 0.0),)
    if part == "back-off":
        return (mock.patch.object(scoring, "BACK_OFF", 1e-9),)
    if part == "coarse results":
        return (mock.patch("spec_mcp.predict.history.outcome_of", return_value=""),)
    if part == "whole calls":
        return (mock.patch.object(memory.Memory, "after", return_value=[]),)
    if part == "how lists are walked":
        return (mock.patch.object(scoring, "_pace", return_value=0),)
    if part == "correction":
        return (mock.patch.object(mixer, "CORRECTION_SHARE", 0.0),)
    if part == "weighing of correlated evidence":
        return (mock.patch.object(session, "GROUPING", 0.0), mock.patch.object(session, "AGAIN", 1.0))
    return ()


@contextmanager
def without(part: str) -> Generator[None]:
    """The model without this part, while the block runs."""
    patches = _patches(part)
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()
