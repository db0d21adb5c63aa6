"""The server that the official conformance suite wants to talk to, on the SDK's low level, in both protocol eras.

    python tests/servers/conformance_fixture.py [--http [HOST:]PORT | --sse [HOST:]PORT]

Its tools, prompts and resources are those that the suite's scenarios name. It keeps nothing that matters between
requests but a count of changes, so that any process of it can answer any request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import conformance_asking as asking
import mcp_types as types
from conformance_asking import Context, Params, ToolAnswer, said
from conformance_contents import PROMPTS, RESOURCES, SCHEMA_2020_12, TEMPLATES, WAV, embedded, image, prompt, read, text
from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, PromptsListChanged, ToolsListChanged
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from serving import serve

PAUSE_S = 0.05
"""Between two notifications of one call, as the suite asks."""
LOGGED = ("Tool execution started", "Tool processing data", "Tool execution completed")
CACHED: tuple[CacheableMethod, ...] = (
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "server/discover",
)

Run = Callable[[Context, Params], Awaitable[ToolAnswer]]


def schema(*required: str, **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


class Fixture:
    """The handlers, and how often the lists were changed."""

    def __init__(self) -> None:
        self.bus = InMemorySubscriptionBus()
        self.changes = 0
        self.runs: dict[str, Run] = {}
        self._tools: list[types.Tool] = []
        for run in (test_simple_text, test_image_content, test_audio_content, test_embedded_resource):
            self._add(run)
        for run in (test_multiple_content_types, test_tool_with_logging, test_error_handling, test_tool_with_progress):
            self._add(run)
        self._add(test_logging_tool)
        self._add(json_schema_2020_12_tool, SCHEMA_2020_12)
        header = {"type": "string", "description": "Comes in a header too", "x-mcp-header": "Region"}
        self._add(test_custom_header, schema("region", region=header))
        self._add(asking.test_sampling, schema("prompt", prompt={"type": "string"}))
        self._add(asking.test_elicitation, schema("message", message={"type": "string"}))
        for name, run in vars(asking).items():
            if name.startswith("test_") and name not in self.runs:
                self._add(run)
        self._add(self.test_trigger_tool_change)
        self._add(self.test_trigger_prompt_change)

    def _add(self, run: Run, input_schema: dict[str, Any] | None = None) -> None:
        name: str = getattr(run, "__name__")  # noqa: B009  a Callable has none to a type checker
        words = name.removeprefix("test_").replace("_", " ").capitalize()
        self._tools.append(types.Tool(name=name, description=f"{words}.", input_schema=input_schema or schema()))
        self.runs[name] = run

    def make(self) -> Server[Any]:
        server = Server(
            "conformance-fixture",
            version="1.0.0",
            instructions="Ask me what the conformance suite asks.",
            cache_hints={method: CacheHint(ttl_ms=0, scope="private") for method in CACHED},
            on_list_tools=self.list_tools,
            on_call_tool=self.call_tool,
            on_list_resources=self.list_resources,
            on_list_resource_templates=self.list_templates,
            on_read_resource=self.read_resource,
            on_subscribe_resource=self.subscribe,
            on_unsubscribe_resource=self.subscribe,
            on_subscriptions_listen=ListenHandler(self.bus),
            on_list_prompts=self.list_prompts,
            on_get_prompt=self.get_prompt,
            on_completion=self.complete,
        )
        server.add_request_handler("logging/setLevel", types.SetLevelRequestParams, self.set_level)
        return server

    async def list_tools(self, context: Context, params: Any) -> types.ListToolsResult:
        changed = types.Tool(
            name="test_changing_tool", description=f"Changed {self.changes} times.", input_schema=schema()
        )
        return types.ListToolsResult(tools=[*self._tools, changed])

    async def call_tool(self, context: Context, params: Params) -> ToolAnswer:
        if params.name == "test_changing_tool":
            return said(f"Changed {self.changes} times.")
        if params.name not in self.runs:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name}")
        return await self.runs[params.name](context, params)

    async def test_trigger_tool_change(self, context: Context, params: Params) -> ToolAnswer:
        self.changes += 1
        if context.protocol_version in MODERN_PROTOCOL_VERSIONS:
            await self.bus.publish(ToolsListChanged())
        else:
            await context.session.send_tool_list_changed()
        return said("The list of tools has changed.")

    async def test_trigger_prompt_change(self, context: Context, params: Params) -> ToolAnswer:
        self.changes += 1
        if context.protocol_version in MODERN_PROTOCOL_VERSIONS:
            await self.bus.publish(PromptsListChanged())
        else:
            await context.session.send_prompt_list_changed()
        return said("The list of prompts has changed.")

    async def list_resources(self, context: Context, params: Any) -> types.ListResourcesResult:
        return types.ListResourcesResult(resources=RESOURCES)

    async def list_templates(self, context: Context, params: Any) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(resource_templates=TEMPLATES)

    async def read_resource(
        self, context: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        contents = read(params.uri)
        if contents is None:
            raise MCPError(types.INVALID_PARAMS, "Resource not found", {"uri": params.uri})
        return types.ReadResourceResult(contents=[contents])

    async def subscribe(self, context: Context, params: Any) -> types.EmptyResult:
        return types.EmptyResult()

    async def list_prompts(self, context: Context, params: Any) -> types.ListPromptsResult:
        changed = types.Prompt(name="test_changing_prompt", description=f"Changed {self.changes} times.")
        return types.ListPromptsResult(prompts=[*PROMPTS, changed])

    async def get_prompt(
        self, context: Context, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult | types.InputRequiredResult:
        if params.name == "test_input_required_result_prompt":
            return await asking.prompt_that_asks(context, params)
        messages = prompt(params.name, params.arguments or {})
        if messages is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown prompt: {params.name}")
        return types.GetPromptResult(messages=messages)

    async def complete(self, context: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
        values = [word for word in ("paris", "park", "party") if word.startswith(params.argument.value)]
        return types.CompleteResult(completion=types.Completion(values=values, total=len(values), has_more=False))

    async def set_level(self, context: Context, params: types.SetLevelRequestParams) -> types.EmptyResult:
        return types.EmptyResult()


async def test_simple_text(context: Context, params: Params) -> ToolAnswer:
    return said("This is a simple text response for testing.")


async def test_image_content(context: Context, params: Params) -> ToolAnswer:
    return types.CallToolResult(content=[image()])


async def test_audio_content(context: Context, params: Params) -> ToolAnswer:
    return types.CallToolResult(content=[types.AudioContent(type="audio", data=WAV, mime_type="audio/wav")])


async def test_embedded_resource(context: Context, params: Params) -> ToolAnswer:
    content = embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")
    return types.CallToolResult(content=[content])


async def test_multiple_content_types(context: Context, params: Params) -> ToolAnswer:
    data = embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')
    return types.CallToolResult(content=[text("Multiple content types test:"), image(), data])


async def test_tool_with_logging(context: Context, params: Params) -> ToolAnswer:
    for number, words in enumerate(LOGGED):
        if number:
            await anyio.sleep(PAUSE_S)
        await _log(context, words)
    return said("The tool has logged.")


async def test_logging_tool(context: Context, params: Params) -> ToolAnswer:
    await _log(context, "Only for who asked")
    return said("Logged, where that was asked for.")


async def _log(context: Context, words: str) -> None:
    if context.protocol_version in MODERN_PROTOCOL_VERSIONS and not (context.meta or {}).get(types.LOG_LEVEL_META_KEY):
        return
    message = types.LoggingMessageNotificationParams(level="info", data=words)
    await context.session.send_notification(types.LoggingMessageNotification(params=message), context.request_id)


async def test_error_handling(context: Context, params: Params) -> ToolAnswer:
    return said("This tool intentionally returns an error for testing", is_error=True)


async def test_tool_with_progress(context: Context, params: Params) -> ToolAnswer:
    for progress in (0, 50, 100):
        if progress:
            await anyio.sleep(PAUSE_S)
        await context.session.report_progress(progress, 100, f"Completed step {progress} of 100")
    return said("The tool has reported its progress.")


async def json_schema_2020_12_tool(context: Context, params: Params) -> ToolAnswer:
    return said("The schema is what matters.")


async def test_custom_header(context: Context, params: Params) -> ToolAnswer:
    return said(f"Region: {(params.arguments or {}).get('region')}")


if __name__ == "__main__":
    serve(Fixture().make(), NotificationOptions(prompts_changed=True, resources_changed=True, tools_changed=True))
