"""What of a tool's result predictors and a manifest's expressions see."""

from __future__ import annotations

import json

from spec_mcp.engine.calls import Json


def seen_result(result: Json) -> Json:
    """`structuredContent` where there is one, else the JSON that the single text item holds, else `{"text": ...}`."""
    if not isinstance(result, dict):
        return {"text": "" if result is None else json.dumps(result)}
    structured = result.get("structuredContent")
    if structured is not None:
        return structured
    content = result.get("content")
    items = content if isinstance(content, list) else []
    texts = [text for item in items if isinstance(item, dict) and isinstance(text := item.get("text"), str)]
    if len(texts) == 1:
        try:
            return json.loads(texts[0])
        except (ValueError, RecursionError):
            pass
    return {"text": "\n".join(texts)}
