"""Which API a speculator's settings mean, and its key."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from spec_mcp.config import ModelPredictor
from spec_mcp.speculators.api import Api
from spec_mcp.speculators.bodies import is_hosted

EXTRAS = {"openai": "openai", "anthropic": "anthropic"}
"""By kind, what is to be installed beside the program."""

USUAL_KEYS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}


class NotUsable(Exception):  # noqa: N818
    """A speculator cannot be asked as it is configured: why, and what to do."""


def key_of(settings: ModelPredictor, environ: Mapping[str, str]) -> str:
    """The key from the environment; empty where none is asked for.

    Raises:
        NotUsable: there should be one.
    """
    name = settings.api_key_env
    if not name:
        if is_hosted(settings):
            usual = USUAL_KEYS[settings.kind]
            raise NotUsable(f'it needs a key: set api_key_env = "{usual}", the name of a variable that holds it')
        return ""
    if not (key := environ.get(name, "")):
        raise NotUsable(f"the environment variable {name} is not set: put the key there")
    return key


def open_api(settings: ModelPredictor, environ: Mapping[str, str]) -> Api:
    """The API that these settings mean; this imports the vendor's library, which takes a second or two.

    Raises:
        NotUsable: there is no key, no address, or the library is not installed.
    """
    key = key_of(settings, environ)
    url = settings.base_url
    if url is not None and not (urlsplit(url).scheme in ("http", "https") and urlsplit(url).hostname):
        raise NotUsable(f"base_url {url!r} is no address: write it as http://127.0.0.1:11434/v1")
    try:
        if settings.kind == "anthropic":
            from spec_mcp.speculators.anthropic_messages import MessagesApi

            return MessagesApi(settings, key)
        if is_hosted(settings):
            from spec_mcp.speculators.openai_responses import ResponsesApi

            return ResponsesApi(settings, key)
        from spec_mcp.speculators.openai_chat import ChatApi

        return ChatApi(settings, key)
    except ImportError as error:
        extra = EXTRAS[settings.kind]
        raise NotUsable(f"its library is not installed ({error}): pip install 'spec-mcp[{extra}]'") from error
