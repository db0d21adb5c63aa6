"""What the protocol's own methods mean for speculation. A method that stands in no table is taken for the worst."""

from __future__ import annotations

TOUCHES_NOTHING = frozenset(
    {
        "initialize",
        "server/discover",
        "ping",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "resources/subscribe",
        "resources/unsubscribe",
        "subscriptions/listen",
        "tasks/list",
    }
)
"""Requests that neither change nor show what tools read."""

SUBSCRIBING = frozenset({"resources/subscribe", "subscriptions/listen"})
"""Requests after which the server tells of changes by itself."""

READS_EVERYTHING = frozenset({"resources/read", "prompts/get", "completion/complete", "tasks/get", "tasks/result"})
"""Requests that the protocol means to be reads, of we know not what. (`logging/setLevel` is none: it changes what a
later call sends to the client.)"""

PURE_NOTIFICATIONS = frozenset({"notifications/initialized", "notifications/progress", "notifications/cancelled"})
"""What a client may say without changing anything that tools read."""

SPOILING_NOTIFICATIONS = frozenset(
    {
        "notifications/resources/updated",
        "notifications/resources/list_changed",
        "notifications/tools/list_changed",
        "notifications/prompts/list_changed",
    }
)
"""What a server says when something that tools read has changed."""

OBSERVING_NOTIFICATIONS = frozenset({"notifications/tasks/status", "notifications/tasks"})
"""What a server says that may show what tools read, as an answer does."""

HARMLESS_NOTIFICATIONS = frozenset(
    {
        "notifications/cancelled",
        "notifications/progress",
        "notifications/elicitation/complete",
        "notifications/subscriptions/acknowledged",
    }
)
"""What a server says that names the request it belongs to, or none."""

PURE_ANSWERS = frozenset({"ping"})
"""Requests of a server whose answer changes nothing that tools read."""

ALWAYS_PASSED_ON = frozenset({"ping", "roots/list"})
"""Requests of a server that ask the client for nothing that a person would see."""
