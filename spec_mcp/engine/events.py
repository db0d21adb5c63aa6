"""What can happen: everything that the engine is told. `Engine.handle` takes one of these and the time.

Together with `commands.py` this is the whole boundary between deciding and doing. Numbers that name calls and
speculations are ours and never reused; the relay keeps the bytes that belong to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from spec_mcp.engine.calls import Arguments, CallKey
from spec_mcp.engine.effects import ServerPolicy, ToolPolicy
from spec_mcp.engine.resources import Footprint
from spec_mcp.engine.results import Verdict
from spec_mcp.engine.states import State
from spec_mcp.engine.values import value

CallId = int
"""One request of a client, of any method: counted by the relay, whatever id the client gave it."""

SpeculationId = int
"""One speculation, counted by the engine."""

OfferId = int
"""One result that a replica offers to the others, counted by the board."""

PostId = int
"""What one replica has posted: a request by its `CallId`, what was said without asking by a number below zero."""

ConnectionName = str
"""One connection to a server, for as long as its session or its server lasts, through all restarts."""


class Mode(StrEnum):
    """What spec-mcp does with its predictions."""

    OFF = "off"
    SHADOW = "shadow"
    ON = "on"


class Answer(StrEnum):
    """How a request was answered."""

    RESULT = "result"
    TOOL_ERROR = "tool-error"
    """A result with `isError`."""
    ERROR = "error"
    """A JSON-RPC error."""
    INPUT_REQUIRED = "input-required"
    TASK = "task"
    """The result names a task that goes on."""
    TAINTED = "tainted"
    """The result holds one of our own ids or tokens."""
    OTHER = "other"
    """A result of a kind that we do not know."""
    NONE = "none"
    """The connection was lost before an answer."""


@value
class Outcome:
    """What the engine needs to know of an answer; its bytes stay with the relay."""

    answer: Answer
    size_bytes: int = 0
    rate_limited: bool = False
    task: str | None = None
    """The task's id, where `answer` is `TASK`."""
    extra_bytes: int = 0
    """The size of a speculation's result as an extra item of another call's reply; 0: it cannot be one."""


class Moment(StrEnum):
    """When the state that a reversible speculation changes is read."""

    BEFORE = "before"
    """Before its launch."""
    LEFT = "left"
    """After its answer."""
    NOW = "now"
    """Before its undo."""
    RESTORED = "restored"
    """After its undo."""


class UndoOutcome(StrEnum):
    """What became of an undo."""

    DONE = "done"
    FAILED = "failed"
    """The server said so."""
    LOST = "lost"
    """The connection was lost before its answer."""
    GOES_ON = "goes-on"
    """The server answered neither that it was done nor that it was not: with a task, say."""
    UNBOUND = "unbound"
    """Its arguments could not be made from what is known."""
    UNRECORDED = "unrecorded"
    """It was not made, since the disk does not take the note of it."""


@value
class Inheritance:
    """A reversible speculation of a process that is gone. Its number is the relay's, below zero."""

    speculation: SpeculationId
    session: str
    tool: str
    arguments: Arguments
    policy: ToolPolicy
    """As it was when the speculation was launched."""
    before: str
    """The digest of the state before it."""
    left: str | None
    """The digest of the state after it; None where the crash came before it was noted."""
    claimed: bool
    """It had been decided that it is taken back."""
    undo_sent: bool
    """An undo may have reached the server."""
    stuck: str = ""
    """Why it is stuck; empty where it is not."""


@value
class Guess:
    """A supposed answer of a call that still runs, as a surrogate's speculation guessed it."""

    surrogate: SpeculationId
    server: str
    tool: str
    arguments: Arguments
    """Of the call that runs: the client's own, or a speculation."""
    key: CallKey
    """Of the same."""
    k: int
    """How many guesses are looked at."""
    ranks: tuple[int, ...] = ()
    """Which guesses are supposed, the surrogate's likeliest being 0. What follows from several of them alike is
    predicted from the first; empty: predict from each of them."""


Lineage = tuple[SpeculationId | Guess, ...]
"""A chain of what is supposed, nearest last: results of speculations, and guessed answers."""


@value
class Candidate:
    """A predicted call with its probability of use before the next conflicting write."""

    server: str
    tool: str
    arguments: Arguments
    q: float
    """A cautious estimate of the probability, in 0 to 1."""
    source: str
    """Which predictor said so, and by which evidence: shown to users, never decided by."""
    copied_whole: bool = False
    """Every argument value is a whole value that occurred earlier in the conversation."""
    discloses: bool = False
    """It would tell its server what only another server may know, by a way that no call has taken (rule 3)."""
    guesses: tuple[int, ...] = ()
    """Of a surrogate's guesses, those by which it was predicted, by rank, the likeliest way first."""


@value
class Known:
    """What is known of a server's tools from comparisons of results, by tool."""

    demoted: Mapping[str, str]
    """With the digest of what the manifest said of it (`entry_of`)."""
    compared: Mapping[str, tuple[str, tuple[bool, ...]]]
    """With the same digest and, oldest first, whether the results differed."""


NOTHING_KNOWN = Known({}, {})

# --- connections and definitions ------------------------------------------------------------------------------------


@value
class Attached:
    """From now on this session's calls to the server travel over this connection, and the connection is the server's.

    A connection of which this is never told has the name of its server.
    """

    session: str
    server: str
    connection: ConnectionName
    principal: str = ""
    """Of its calls' keys; empty: not told, the first call there shows it."""


@value
class Connected:
    """A connection to a server stands; `epoch` is larger than any that it had before."""

    connection: ConnectionName
    epoch: int
    protocol: str = ""
    """The version of the protocol that a handshake agreed on; empty where there was none: then each call says it."""


@value
class Disconnected:
    """The server died or was left; calls in flight there are answered by `CallReturned` with `Answer.NONE`."""

    connection: ConnectionName
    ended: bool = True
    """What the server was doing goes on no more, since its process is gone; False where only the way to it was lost."""


@value
class ConnectionClosed:
    """We have left the connection for good: nobody will speak of it again.

    Due only once nothing is to be taken back there (`Engine.is_settled`); what is all the same, is stuck.
    """

    connection: ConnectionName
    ended: bool = False
    """What the server was doing goes on no more, as of `Disconnected`, where that was not told before."""


@value
class ToolsListed:
    """The complete tool list of this connection: name to fingerprint of the definition."""

    connection: ConnectionName
    fingerprints: Mapping[str, str]


@value
class ManifestFound:
    """The server has given its name: this is what is known of it."""

    connection: ConnectionName
    policy: ServerPolicy
    pins: Mapping[str, str]
    """Fingerprints of its tools' definitions as they were seen first."""
    known: Known = NOTHING_KNOWN
    """What earlier comparisons have shown."""


# --- what clients do ------------------------------------------------------------------------------------------------


@value
class CallArrived:
    """A client made a `tools/call`."""

    call: CallId
    session: str
    connection: ConnectionName
    tool: str
    arguments: Arguments | None
    """None where they are no object or could not be read."""
    key: CallKey | None
    """None: never matches (rule 5)."""
    may_attach: bool = False
    """Its client speaks a version of the protocol in which a reply may hold extra items that say what they are."""


@value
class RequestArrived:
    """A client made any other request of a server."""

    call: CallId
    session: str
    connection: ConnectionName
    method: str
    task: str | None = None
    """The task that it asks about."""


@value
class CallCancelled:
    """The client cancelled a request of its own that it believes in flight."""

    call: CallId


@value
class ClientNotified:
    """A notification from a client other than a cancellation."""

    session: str
    connection: ConnectionName
    method: str


@value
class ClientAnswered:
    """A client answered a server's request of this method, with a result or an error."""

    session: str
    connection: ConnectionName
    method: str


@value
class BatchArrived:
    """A JSON-RPC batch array with requests of these methods (tool names beside `tools/call`)."""

    call: CallId
    session: str
    connection: ConnectionName
    members: tuple[tuple[str, str | None], ...]


@value
class SessionClosed:
    """The client left."""

    session: str


@value
class HeldDropped:
    """Nothing that is held may answer this client any more: it shows a newer token, or sends a batch of which the relay
    tells as single messages."""

    session: str


# --- what servers do ------------------------------------------------------------------------------------------------


@value
class AnswerComing:
    """The server has answered a call, and the client is given that next: what is to be attached is decided now.

    `CallReturned` follows.
    """

    call: CallId
    outcome: Outcome


@value
class CallReturned:
    """The server answered a request that was invoked, or can no longer answer it."""

    call: CallId
    outcome: Outcome


@value
class SpeculationReturned:
    """The server answered a speculation, or can no longer answer it."""

    speculation: SpeculationId
    outcome: Outcome


@value
class TaskEnded:
    """A task is terminal."""

    connection: ConnectionName
    task: str


@value
class ServerNotified:
    """A notification from a server other than progress of a call or of a speculation."""

    connection: ConnectionName
    method: str


@value
class ServerAsked:
    """A request from a server to its client; answered by `PassOn` or `Refuse` under the same number."""

    connection: ConnectionName
    request: int
    method: str


# --- what the relay reports -----------------------------------------------------------------------------------------


@value
class Validated:
    """The answer to `Validate`: the validator's present value, None where it cannot be trusted."""

    speculation: SpeculationId
    call: CallId | None
    value: str | None


@value
class StateRead:
    """The answer to `ReadState`."""

    speculation: SpeculationId
    moment: Moment
    digest: str | None
    """Equal for equal states; None where the state could not be read, or the right to the instance is another's."""
    unless: bool = False
    """The manifest's `unless` is true: not to be speculated now."""


@value
class Recorded:
    """The answer to `Intend`: is it on disk?"""

    speculation: SpeculationId
    ok: bool


@value
class Claimed:
    """The answer to `Claim`: is it decided so, and on disk?"""

    speculation: SpeculationId
    into: State
    ok: bool


@value
class Probed:
    """The answer to `Probe`: did it take effect? None where that could not be told."""

    speculation: SpeculationId
    done: bool | None


@value
class Undone:
    """The answer to `Undo`."""

    speculation: SpeculationId
    outcome: UndoOutcome


@value
class Settled:
    """The answer to `Settle`: is it so on disk?"""

    speculation: SpeculationId
    ok: bool


@value
class Inherited:
    """What an earlier process left to be settled at this server, told before anything of the present clients."""

    connection: ConnectionName
    inheritances: tuple[Inheritance, ...]


# --- what the board says ----------------------------------------------------------------------------------------------


@value
class WorldKnown:
    """All replicas reach one and the same world through this server, and this is what tells it from others."""

    server: str
    identity: str
    """Empty: each replica reaches a world of its own."""


@value
class Posted:
    """The answer to `Post` of a request: the others know of it, or cannot adopt anything any more."""

    post: PostId


@value
class Offered:
    """The answer to `Offer`: is it on the board?"""

    speculation: SpeculationId
    ok: bool


@value
class Taken:
    """The answer to `Take`."""

    speculation: SpeculationId
    call: CallId
    ok: bool
    """The result may answer this call, and no other."""
    age_s: float = 0.0
    """Of another replica's: how long ago it was launched."""
    size_bytes: int = 0
    """The same, its size."""


@value
class Announced:
    """Another replica offers a result, or will when it is there."""

    digest: str
    offer: OfferId
    ready: bool


@value
class Withdrawn:
    """Another replica offers it no more."""

    digest: str
    offer: OfferId


@value
class TakenAway:
    """Another replica has used the result of a speculation of ours."""

    speculation: SpeculationId


@value
class WrittenElsewhere:
    """Another replica is about to write. That this is told is no promise: the board itself decides what may be used."""

    footprint: Footprint


@value
class CutOff:
    """The board cannot be reached: nothing that is held can be shown to be unspoiled."""


@value
class Rejoined:
    """The board can be reached again."""


@value
class Compared:
    """The answer to `Compare`."""

    server: str
    tool: str
    entry: str
    verdict: Verdict


@value
class Predicted:
    """The answer to `Predict`, in the order of the predictor's confidence."""

    session: str
    step: int
    lineage: Lineage
    candidates: tuple[Candidate, ...]


@value
class SurrogateBound:
    """The answer to `BindSurrogate`."""

    session: str
    key: CallKey
    """Of the call whose answer it would guess."""
    arguments: Arguments


@value
class GuessesJudged:
    """A call of which a surrogate guessed the answer has it."""

    session: str
    surrogate: SpeculationId
    server: str
    tool: str
    """Of the call."""
    right: tuple[int, ...]
    """The guesses that were right, by rank; empty: none was."""


@value
class ModeSet:
    """Somebody switched the mode."""

    mode: Mode


@value
class Ticked:
    """Time has passed: the engine's `deadline_s` is reached."""


Event = (
    Attached
    | Connected
    | Disconnected
    | ConnectionClosed
    | ToolsListed
    | ManifestFound
    | CallArrived
    | RequestArrived
    | CallCancelled
    | ClientNotified
    | ClientAnswered
    | BatchArrived
    | SessionClosed
    | HeldDropped
    | AnswerComing
    | CallReturned
    | SpeculationReturned
    | TaskEnded
    | ServerNotified
    | ServerAsked
    | Validated
    | StateRead
    | Recorded
    | Claimed
    | Probed
    | Undone
    | Settled
    | WorldKnown
    | Posted
    | Offered
    | Taken
    | Announced
    | Withdrawn
    | TakenAway
    | WrittenElsewhere
    | CutOff
    | Rejoined
    | Inherited
    | Compared
    | Predicted
    | SurrogateBound
    | GuessesJudged
    | ModeSet
    | Ticked
)
