"""What to do: everything that the engine asks for. The relay carries commands out in order and reports back."""

from __future__ import annotations

from spec_mcp.engine.calls import Arguments, CallKey
from spec_mcp.engine.effects import FileValidator, Surrogate, ToolValidator
from spec_mcp.engine.events import CallId, ConnectionName, Lineage, Moment, OfferId, PostId, SpeculationId
from spec_mcp.engine.passing import Apart
from spec_mcp.engine.resources import Footprint
from spec_mcp.engine.results import ResultEquivalences
from spec_mcp.engine.states import How, State
from spec_mcp.engine.values import value

# --- for the client -------------------------------------------------------------------------------------------------


@value
class Invoke:
    """Send the client's request to its server, byte for byte; after this the server has seen its id."""

    connection: ConnectionName
    call: CallId


@value
class Reply:
    """Answer the call with the speculation's held notifications and then its result, under the call's id."""

    connection: ConnectionName
    call: CallId
    speculation: SpeculationId
    how: How
    saved_s: float
    """The wait that the client was spared, as far as can be known."""


@value
class AttachReads:
    """Not lossless: give the client these reads' results along with the answer to the call, which comes next.

    They are held on, and may answer their own calls.
    """

    connection: ConnectionName
    call: CallId
    speculations: tuple[SpeculationId, ...]


@value
class PassOn:
    """Let a server's request through to the client."""

    connection: ConnectionName
    request: int


@value
class Refuse:
    """Answer a server's request with an error: only a speculation can have caused it."""

    connection: ConnectionName
    request: int


@value
class ForwardCancellation:
    """Send the client's cancellation on: the server has seen the id that it names."""

    connection: ConnectionName
    call: CallId


@value
class Withhold:
    """Drop the server notification just reported: only a speculation can have caused it."""

    connection: ConnectionName


# --- for the server -------------------------------------------------------------------------------------------------


@value
class Launch:
    """Make the speculation's call under an id of ours and hold what comes back."""

    connection: ConnectionName
    speculation: SpeculationId
    session: str
    server: str
    tool: str
    arguments: Arguments
    key: CallKey


@value
class CancelSpeculation:
    """Tell the server that the speculation's result is no longer wanted; its answer is still swallowed."""

    connection: ConnectionName
    speculation: SpeculationId


@value
class Drop:
    """Forget what is held for the speculation."""

    connection: ConnectionName
    speculation: SpeculationId


@value
class Validate:
    """Read the validator's present value: before launch (`call` is None) or for the call that would adopt."""

    connection: ConnectionName
    speculation: SpeculationId
    call: CallId | None
    validator: FileValidator | ToolValidator
    arguments: Arguments


@value
class Keep:
    """Shadow mode: keep the call's answer beside the client's copy, until `Compare` or `Drop` of the speculation."""

    connection: ConnectionName
    speculation: SpeculationId
    call: CallId


@value
class Recall:
    """Keep the result that `adopted` has given to the call, until `Compare` or `Drop` of the check."""

    connection: ConnectionName
    check: SpeculationId
    adopted: SpeculationId
    call: CallId


@value
class Compare:
    """Hold two results of one call against each other when nobody waits, and answer with `Compared`.

    One is the speculation's, the other has been kept (`Keep`, `Recall`): copy what is needed, for `Drop` follows.
    """

    connection: ConnectionName
    speculation: SpeculationId
    call: CallId
    server: str
    tool: str
    arguments: Arguments
    entry: str
    """What the manifest says of the tool, as a digest."""
    equal: ResultEquivalences
    apart: Apart
    """How far apart the moments of both results are."""
    is_check: bool
    """The speculation's is the later one, made to check what was adopted; else it is shadow mode's."""
    how: How
    """How the call was answered, or would have been."""
    saved_s: float
    """The wait that the client was spared, or would have been."""


# --- for a reversible speculation (rules 12 to 14) ------------------------------------------------------------------


@value
class ReadState:
    """Read the state that the speculation changes, by its tool's `before`; answered by `StateRead`.

    At `Moment.BEFORE` first take the right to the server instance, keep what was read, and look at `unless`.
    """

    connection: ConnectionName
    speculation: SpeculationId
    moment: Moment


@value
class Intend:
    """Put on disk all that is needed to undo the speculation; answered by `Recorded`."""

    connection: ConnectionName
    speculation: SpeculationId


@value
class NoteOutcome:
    """Put on disk what the server answered, and the state that this left; nothing waits for it."""

    connection: ConnectionName
    speculation: SpeculationId
    left: str | None


@value
class Claim:
    """Decide on disk, once for all, what becomes of the speculation: `ADOPTED` or `COMPENSATING`.

    Answered by `Claimed`.
    """

    connection: ConnectionName
    speculation: SpeculationId
    into: State


@value
class Probe:
    """Ask the tool's `probe` whether the speculation took effect; answered by `Probed`."""

    connection: ConnectionName
    speculation: SpeculationId


@value
class Undo:
    """Note on disk that the undo goes out, then make it; answered by `Undone`."""

    connection: ConnectionName
    speculation: SpeculationId


@value
class Settle:
    """Nothing of the speculation is left to be done: forget its record, or keep it as stuck; answered by `Settled`.

    While a record is there that says that something may have to be taken back, a crash would have it taken back: what
    it touches is let go of only when the record is gone.
    """

    connection: ConnectionName
    speculation: SpeculationId
    state: State
    reason: str


@value
class Wake:
    """Start the server, if it is down: something there has to be taken back."""

    connection: ConnectionName


@value
class HoldNotification:
    """Keep the server notification just reported with the speculation that caused it, for the call that adopts it."""

    connection: ConnectionName
    speculation: SpeculationId


@value
class Tell:
    """Deliver what was kept with the speculation: what it did is a client's, who awaits no answer any more."""

    connection: ConnectionName
    speculation: SpeculationId


@value
class Fail:
    """Answer the call with an error: it would see what a speculation left and could not take back in time."""

    connection: ConnectionName
    call: CallId
    reason: str


# --- for the board that replicas share --------------------------------------------------------------------------------


@value
class Post:
    """Put on the board that a request is about to go out, and what it touches; answered by `Posted`.

    Of a notice, whose number is below zero, nobody awaits that.
    """

    post: PostId
    footprint: Footprint
    writes: bool


@value
class Unpost:
    """What was posted can change nothing any more, and its client has seen what it showed."""

    post: PostId


@value
class Offer:
    """Put the speculation on the board before it is launched; answered by `Offered`.

    Its result follows when it is there, and `Drop` takes it from the board.
    """

    connection: ConnectionName
    speculation: SpeculationId
    digest: str
    """Equal for calls that are the same to all replicas; empty: no other may have its result."""
    footprint: Footprint
    ttl_s: float | None
    may_be_overtaken: bool


@value
class Take:
    """Ask the board, once for all, whether the result may answer the call; answered by `Taken`.

    That of another replica is waited for while it runs, fetched, and held under the speculation's number.
    """

    connection: ConnectionName
    speculation: SpeculationId
    call: CallId
    offer: OfferId | None
    """Of another replica; None: it is our own."""
    keeps: bool
    """It may answer further calls."""


# --- for the predictor and the record -------------------------------------------------------------------------------


@value
class Predict:
    """Guess what this session's client calls next: after its last step, or after the parent's result as well."""

    session: str
    step: int
    lineage: Lineage = ()
    """What is to be supposed, nearest last."""


@value
class BindSurrogate:
    """A call of this session, or a speculation for it, runs whose answer a surrogate may guess: make the surrogate's
    arguments of the call's; answered by `SurrogateBound`, or not at all where they cannot be made."""

    session: str
    surrogate: Surrogate
    arguments: Arguments
    key: CallKey


@value
class PinFingerprint:
    """Remember the definition of a tool seen for the first time."""

    server: str
    tool: str
    fingerprint: str


@value
class Demote:
    """A tool's results were seen to differ: it is not speculated any more while the manifest says the same of it."""

    server: str
    tool: str
    entry: str
    """What the manifest says of it, as a digest; empty: it says something else by now, and that counts no more."""


@value
class CallSettled:
    """A call has its answer; for the record and for learning."""

    call: CallId
    session: str
    server: str
    connection: ConnectionName
    tool: str
    how: How
    speculation: SpeculationId | None
    wait_s: float
    saved_s: float
    was_attached: bool = False
    """The client had been given this read's result with an earlier reply, and asks all the same."""


@value
class SpeculationEnded:
    """A speculation came to an end; for the record and for learning. Times are the engine's clock."""

    speculation: SpeculationId
    session: str
    server: str
    connection: ConnectionName
    tool: str
    arguments: Arguments
    state: State
    reason: str
    q: float
    source: str
    launched_at: float | None
    returned_at: float | None
    ended_at: float
    call: CallId | None
    attached_to: CallId | None = None
    """The call with whose answer the client was given the result."""
    attached_bytes: int = 0


@value
class Skipped:
    """A candidate was not launched."""

    session: str
    server: str
    tool: str
    reason: str


Command = (
    Invoke
    | Reply
    | AttachReads
    | PassOn
    | Refuse
    | ForwardCancellation
    | Withhold
    | Launch
    | CancelSpeculation
    | Drop
    | Validate
    | Keep
    | Recall
    | Compare
    | ReadState
    | Intend
    | NoteOutcome
    | Claim
    | Probe
    | Undo
    | Settle
    | Wake
    | HoldNotification
    | Tell
    | Fail
    | Post
    | Unpost
    | Offer
    | Take
    | Predict
    | BindSurrogate
    | PinFingerprint
    | Demote
    | CallSettled
    | SpeculationEnded
    | Skipped
)
