"""The helper by which clients tell of the conversation."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

from spec_mcp.hints import HINTS_MAX_BYTES, HINTS_META, ITEMS_MAX, TEXT_MAX_CHARS, Hints


def sent(hints: Hints) -> list[tuple[str, str]]:
    meta = hints.meta()
    return [] if meta is None else [(item["role"], item["text"]) for item in meta[HINTS_META]]


ANTHROPIC: list[dict[str, Any]] = [
    {"role": "user", "content": "look at W1 and W2"},
    {"role": "assistant", "content": [{"type": "text", "text": "W1 first"}, {"type": "tool_use", "id": "t"}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "a secret of a server"}]},
    {"role": "user", "content": [{"type": "image", "source": {}}, {"type": "text", "text": "and W3"}]},
]  # fmt: skip


def test_of_anthropics_messages_the_words_are_taken_and_no_results_of_tools():
    hints = Hints()
    hints.anthropic(ANTHROPIC)
    assert sent(hints) == [("user", "look at W1 and W2"), ("assistant", "W1 first"), ("user", "and W3")]


def test_of_chat_messages_the_words_are_taken_and_no_system_prompt():
    hints = Hints()
    hints.openai(
        [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": [{"type": "text", "text": "W1"}, {"type": "image_url", "image_url": {}}]},
            {"role": "assistant", "content": None, "tool_calls": []},
            {"role": "tool", "tool_call_id": "t", "content": "a secret of a server"},
        ]
    )
    assert sent(hints) == [("user", "W1")]


def test_of_responses_input_and_output_the_words_are_taken_from_dictionaries_and_objects():
    hints = Hints()
    hints.responses("W1, please")
    part = SimpleNamespace(type="output_text", text="looking")
    items = [
        SimpleNamespace(type="message", role="assistant", content=[part]),
        {"type": "function_call_output", "output": "a secret of a server"},
        {"role": "user", "content": [{"type": "input_text", "text": "and W2"}]},
    ]
    hints.responses(items)
    assert sent(hints) == [("user", "W1, please"), ("assistant", "looking"), ("user", "and W2")]


def test_only_what_is_new_is_sent_though_the_whole_conversation_is_given_each_time():
    hints = Hints()
    for end in range(1, 5):
        hints.anthropic(ANTHROPIC[:end])
        sent(hints)
    assert hints.meta() is None
    hints.anthropic([*ANTHROPIC, {"role": "assistant", "content": "done"}])
    assert sent(hints) == [("assistant", "done")]
    hints.say("user", " thanks ")
    assert sent(hints) == [("user", "thanks")]


def test_what_is_sent_is_never_too_large_to_be_looked_into():
    hints = Hints()
    for number in range(3 * ITEMS_MAX):
        hints.say("user", f"{number} " + "ü\n" * TEXT_MAX_CHARS)
    meta = hints.meta()
    assert meta is not None
    assert 0 < len(json.dumps(meta[HINTS_META], ensure_ascii=False).encode()) < HINTS_MAX_BYTES
    assert hints.meta() is None


def test_importing_it_loads_no_sdk():
    code = "import spec_mcp.hints, sys; print([name for name in ('mcp', 'anthropic', 'openai') if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"


def test_what_the_vendors_libraries_answer_with_is_heard_as_it_is() -> None:
    from anthropic.types import Message, TextBlock, ToolUseBlock
    from anthropic.types import Usage as AnthropicUsage
    from openai.types.chat import ChatCompletionMessage
    from openai.types.responses import ResponseOutputMessage, ResponseOutputText

    called = ToolUseBlock(id="t", name="get_order", input={"order_id": "W9"}, type="tool_use")
    message = Message(
        id="m",
        content=[TextBlock(text="I look at W1.", type="text"), called],
        model="any",
        role="assistant",
        stop_reason="tool_use",
        type="message",
        usage=AnthropicUsage(input_tokens=1, output_tokens=1),
    )
    hints = Hints()
    hints.anthropic([{"role": "user", "content": "W1, please."}, message])
    assert sent(hints) == [("user", "W1, please."), ("assistant", "I look at W1.")]
    hints.openai([ChatCompletionMessage(role="assistant", content="And W2?")])
    assert sent(hints) == [("assistant", "And W2?")]
    text = ResponseOutputText(annotations=[], text="Then W3.", type="output_text")
    hints.responses(
        [ResponseOutputMessage(id="r", content=[text], role="assistant", status="completed", type="message")]
    )
    assert sent(hints) == [("assistant", "Then W3.")]
