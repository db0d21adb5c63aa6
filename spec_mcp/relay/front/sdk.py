"""All that the HTTP front takes from the SDK: names, versions, and the checks of headers that do no I/O.

The SDK calls some of these provisional; nothing else of the front imports it.
"""

from __future__ import annotations

from mcp.client.auth.utils import (
    build_oauth_authorization_server_metadata_discovery_urls as issuer_metadata_urls,
)
from mcp.server.auth.routes import build_resource_metadata_url
from mcp.shared.auth import ProtectedResourceMetadata
from mcp.shared.inbound import (
    ERROR_CODE_HTTP_STATUS,
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    NAME_BEARING_METHODS,
    X_MCP_HEADER_KEY,
    InboundLadderRejection,
    classify_inbound_request,
    find_duplicated_routing_header,
    unsupported_protocol_version_rejection,
    validate_mcp_param_headers,
)
from mcp.shared.subscriptions import LISTEN_STREAM_METHODS, SUBSCRIPTION_ID_META_KEY
from mcp_types import (
    LOG_LEVEL_META_KEY,
    PROTOCOL_VERSION_META_KEY,
)
from mcp_types.jsonrpc import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
)
from mcp_types.methods import CLIENT_REQUESTS
from mcp_types.version import (
    HANDSHAKE_PROTOCOL_VERSIONS,
    MODERN_PROTOCOL_VERSIONS,
    is_version_at_least,
)

__all__ = [
    "ERROR_CODE_HTTP_STATUS",
    "HANDSHAKE_ONLY_METHODS",
    "HANDSHAKE_PROTOCOL_VERSIONS",
    "HEADER_MISMATCH",
    "INTERNAL_ERROR",
    "INVALID_REQUEST",
    "LISTEN_STREAM_METHODS",
    "LOG_LEVEL_META_KEY",
    "MCP_METHOD_HEADER",
    "MCP_NAME_HEADER",
    "MCP_PROTOCOL_VERSION_HEADER",
    "METHOD_NOT_FOUND",
    "MODERN_PROTOCOL_VERSIONS",
    "NAME_BEARING_METHODS",
    "PARSE_ERROR",
    "PROTOCOL_VERSION_META_KEY",
    "REQUEST_CANCELLED",
    "SUBSCRIPTION_ID_META_KEY",
    "X_MCP_HEADER_KEY",
    "InboundLadderRejection",
    "ProtectedResourceMetadata",
    "build_resource_metadata_url",
    "classify_inbound_request",
    "find_duplicated_routing_header",
    "is_version_at_least",
    "issuer_metadata_urls",
    "unsupported_protocol_version_rejection",
    "validate_mcp_param_headers",
]

REQUEST_CANCELLED = -32800
"""What a cancelled request of the handshake era is answered with over HTTP, since its stream ends with an answer only.
The SDK's server says the same."""

HANDSHAKE_ONLY_METHODS = frozenset(
    method for method, version in CLIENT_REQUESTS if version in HANDSHAKE_PROTOCOL_VERSIONS
) - frozenset(method for method, version in CLIENT_REQUESTS if version in MODERN_PROTOCOL_VERSIONS)
"""Requests that the stateless era has no more."""
