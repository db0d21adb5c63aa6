"""The names of the protocol that its two eras do not share, and the bounds of translating between them."""

from __future__ import annotations

STATELESS_VERSION = "2026-07-28"
HANDSHAKE_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""Oldest first."""

# --- `_meta` --------------------------------------------------------------------------------------------------------

RESERVED_META = "io.modelcontextprotocol/"
VERSION_META = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_META = "io.modelcontextprotocol/clientCapabilities"
CLIENT_META = "io.modelcontextprotocol/clientInfo"
SERVER_META = "io.modelcontextprotocol/serverInfo"
LEVEL_META = "io.modelcontextprotocol/logLevel"
SUBSCRIPTION_META = "io.modelcontextprotocol/subscriptionId"
TASKS_EXTENSION = "io.modelcontextprotocol/tasks"

LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
"""Of logging, the most talkative first."""

# --- methods --------------------------------------------------------------------------------------------------------

INITIALIZE = "initialize"
DISCOVER = "server/discover"
LISTEN = "subscriptions/listen"
SUBSCRIBE = "resources/subscribe"
UNSUBSCRIBE = "resources/unsubscribe"
SET_LEVEL = "logging/setLevel"
PING = "ping"
TASKS = "tasks/"

ROOTS = "roots/list"
SAMPLING = "sampling/createMessage"
ELICITATION = "elicitation/create"
PROMPTS = frozenset({ROOTS, SAMPLING, ELICITATION})
"""What a server may ask of a client, in either era."""

HANDSHAKE_ONLY = frozenset({INITIALIZE, PING, SET_LEVEL, SUBSCRIBE, UNSUBSCRIBE})
STATELESS_ONLY = frozenset({DISCOVER, LISTEN})

INPUT_METHODS = ("resources/read", "prompts/get", "tools/call")
"""What may need input from the client, the least likely first."""

CACHEABLE = frozenset(
    {"prompts/list", "resources/list", "resources/read", "resources/templates/list", DISCOVER, "tools/list"}
)
"""Their results say in the stateless era how long and for whom they hold."""

CANCELLED = "notifications/cancelled"
INITIALIZED = "notifications/initialized"
PROGRESS = "notifications/progress"
MESSAGE = "notifications/message"
ROOTS_CHANGED = "notifications/roots/list_changed"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
ELICITED = "notifications/elicitation/complete"
TASK_NOTIFICATIONS = "notifications/tasks/"
UPDATED = "notifications/resources/updated"
CHANGED = {
    "tools": "notifications/tools/list_changed",
    "prompts": "notifications/prompts/list_changed",
    "resources": "notifications/resources/list_changed",
}
"""The notification that a list has changed, by the server's capability."""
CHANGED_FILTERS = {"tools": "toolsListChanged", "prompts": "promptsListChanged", "resources": "resourcesListChanged"}
"""How the same is asked for in the stateless era."""
URIS_FILTER = "resourceSubscriptions"

# --- errors ---------------------------------------------------------------------------------------------------------

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
CONNECTION_CLOSED = -32000
REQUEST_TIMEOUT = -32001
RESOURCE_NOT_FOUND = -32002
"""In the handshake era; in the stateless era it is `INVALID_PARAMS`."""
MISSING_CAPABILITY = -32021
UNSUPPORTED_VERSION = -32022
URL_ELICITATION_REQUIRED = -32042
"""In the handshake era; the stateless era asks for input."""

# --- bounds ---------------------------------------------------------------------------------------------------------

OPEN_MAX = 4096
"""Requests of one client that one server has not answered; more are refused."""

HELD_MAX = 256
"""Requests whose client is gathering input: each keeps a request of the server's open, which most bear for a minute."""

INPUT_WAIT_S = 600.0
"""How long the input for a request is waited for: what the SDK's servers give a `requestState` to live."""

PROMPTS_MAX = 64
"""Questions that wait for one request's client."""

EARLY_MAX = 16
EARLY_WAIT_S = 60.0
"""How many questions for roots are kept until a request comes that can carry them, and how long: most servers wait no
longer than this for an answer."""

EARLY_PAUSE_S = 0.1
"""What a server gets to ask such a question, and to take in the answer; the official file server looks at each root on
disk."""

ROUNDS_MAX = 10
"""How often a server may ask for more input before its request is given up, as the SDK's clients do it."""

PAUSE_S = 0.05
PAUSE_MAX_S = 0.25
"""How long a request is not made again that needs no input but another attempt; doubled each time, as the SDK's clients
do it."""

STREAMS_MAX = 64
"""`subscriptions/listen` streams of one client."""

URIS_MAX = 4096
"""Resources that one client is subscribed to."""

HELD_STREAMS_MAX = 16
"""`subscriptions/listen` streams that we hold open at one server; with more, they are made into one."""

REOPEN_S = 1.0
REOPEN_MAX_S = 60.0
"""How long a stream that a server has ended is not opened again; doubled each time it ends unheard."""
