"""What became of a speculation, and why none was made, in plain words."""

from __future__ import annotations

from collections.abc import Mapping

ENDS: Mapping[str, str] = {
    "cancelled": "the client cancelled the call that waited for it",
    "crashed": "the process that made it was killed",
    "cut-off": "the database that the replicas share was out of reach, or another replica joined",
    "disconnected": "the connection to the server was lost",
    "error": "the server answered with an error",
    "evicted": "there was no room to hold it any longer",
    "expired": "it grew older than the tool's ttl_s before a call asked for it",
    "late": "it took longer than a call may wait for it",
    "guessed": "it guessed the answer of a slow call, and that answer is there",
    "mispredicted": "another call came that would have seen it, or it was made for a guess that was wrong",
    "overtaken": "a later real answer showed the same resources, so this one was older than what the client knew",
    "prompted": "the server asked something back, which only a call may make it do",
    "session-ended": "the client left before it asked for it",
    "spoiled": "a write came first that could have changed it",
    "stale": "its validator showed that the world had changed",
    "switched-off": "the mode was switched, or spec-mcp ended",
    "taken": "another replica gave it to a client of its own: it was of use",
    "unless": "the manifest forbids it in the state that was found",
    "unreadable": "the state that it changes could not be read",
    "unrecorded": "its undo could not be put on disk",
}

SKIPS: Mapping[str, str] = {
    "breadth": "better candidates took all places of this step ([speculation] breadth)",
    "busy": "the server had no place free, or was not connected",
    "changed": "the tool's definition changed since it was reviewed: lock it again",
    "conflict": "a call in flight writes what it would read",
    "demoted": "something went wrong with speculation there in this session",
    "discloses": "it would tell a server a value that only another server has told",
    "full": "too many candidates were waiting already",
    "known": "the same is held or under way already",
    "not-listed-yet": "the server has not listed the tool on this connection",
    "not-reversible-here": "its manifest names no exact undo",
    "not-worth-it": "the wait that it could hide is worth less than the risk of waste",
    "open-world": "the tool reaches outside, and the manifest does not allow this there",
    "poll": "the same was just answered, and nothing was written since",
    "rate": "rate_per_minute of the server was used up",
    "rate-limited": "the server asked for fewer calls",
    "step-passed": "the client had gone on before the prediction was ready",
    "stuck-there": "an early write at this server waits for a person to settle it",
    "subscribed": "somebody is subscribed to what it changes",
    "too-slow": "it would not have ended within the thinking time, and the server works on one call at a time",
    "unlisted": "no manifest lists the tool, so it is unsafe",
    "unmatchable": "its arguments are such that no call could be told to be the same",
    "unproven": "its undo is not proved: `spec-mcp manifest verify`",
    "unsafe": "the manifest calls the tool unsafe",
    "unsure": "a reversible call is made early only where it is nearly certain",
    "unvalidated": "its validator could not be read",
}


def ended(reason: str) -> str:
    """Why a speculation came to its end without being used."""
    return ENDS.get(reason, reason)


def skipped(reason: str) -> str:
    """Why a candidate was not launched."""
    return SKIPS.get(reason) or ENDS.get(reason, reason)
