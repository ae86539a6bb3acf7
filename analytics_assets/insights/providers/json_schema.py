"""An answer's JSON schema, and its translation to the subset that Gemini's own schemas know.

Belongs here: making it once, and the translation for an SDK that does not do it. Invariant:
enumerations, required fields and the order of properties survive; what the subset lacks (lengths,
ranges) is left out, and validation here makes up for it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import BaseModel

_KEPT = ("description", "enum")


@cache
def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of ``model``, made once (4 ms) and shared: not to be changed."""
    return model.model_json_schema()


def gemini_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of ``model`` as Gemini's ``response_schema``. Raises TypeError."""
    whole = schema_of(model)
    return _translated(whole, whole.get("$defs", {}))


def _translated(schema: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        named = shared[schema["$ref"].rpartition("/")[2]]
        return _translated({**named, **{k: v for k, v in schema.items() if k != "$ref"}}, shared)
    if "allOf" in schema and len(schema["allOf"]) == 1:
        rest = {name: value for name, value in schema.items() if name != "allOf"}
        return _translated({**schema["allOf"][0], **rest}, shared)
    kind = schema.get("type")
    if not isinstance(kind, str):
        raise TypeError("only objects, lists, texts, numbers and truth values can be asked for")
    found: dict[str, Any] = {name: schema[name] for name in _KEPT if name in schema}
    found["type"] = kind.upper()
    if "enum" in found:
        found["format"] = "enum"
    if kind == "object":
        found["properties"] = {
            name: _translated(one, shared) for name, one in schema["properties"].items()
        }
        found["required"] = list(schema.get("required", []))
    elif kind == "array":
        found["items"] = _translated(schema["items"], shared)
        if "maxItems" in schema:
            found["max_items"] = schema["maxItems"]
    return found
