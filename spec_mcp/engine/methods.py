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
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
        "subscriptions/listen",
        "tasks/get",
        "tasks/list",
        "tasks/result",
    }
)
"""Requests that neither change nor show what tools read."""

READS_EVERYTHING = frozenset({"resources/read", "prompts/get", "completion/complete"})
"""Requests that the protocol means to be reads, of we know not what."""

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

HARMLESS_NOTIFICATIONS = frozenset(
    {
        "notifications/cancelled",
        "notifications/progress",
        "notifications/tasks/status",
        "notifications/elicitation/complete",
        "notifications/subscriptions/acknowledged",
    }
)
"""What a server says that names the request it belongs to, or none."""

ALWAYS_PASSED_ON = frozenset({"ping", "roots/list"})
"""Requests of a server that ask the client for nothing that a person would see."""
