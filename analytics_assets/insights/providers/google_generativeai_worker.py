"""A process of its own for the old SDK: questions as JSON lines in, answers as JSON lines out.

Belongs here: ``google.generativeai`` and what each of its failures is called. Does not: anything of
this package, which the environment it runs in does not have; what a failure means
(google_generativeai.py). Invariant: the key comes by the environment and a line on stdout holds
nothing of a question; what libraries print goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TextIO

KEY_VARIABLE = "GOOGLE_API_KEY"


def main() -> None:
    """Answer until stdin ends. The first line says where and how: base_url, timeout, threads."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    setup = json.loads(sys.stdin.readline())

    import google.generativeai as genai

    options = {"api_endpoint": setup["base_url"]} if setup["base_url"] else None
    # gRPC would want TLS and a proxy's blessing; REST goes wherever HTTP goes.
    genai.configure(api_key=os.environ[KEY_VARIABLE], transport="rest", client_options=options)
    out.write(json.dumps({"ready": True}) + "\n")
    lock = threading.Lock()
    with ThreadPoolExecutor(max_workers=setup["threads"]) as pool:
        for line in sys.stdin:
            pool.submit(_answer, genai, json.loads(line), setup["timeout"], out, lock)


def _answer(
    genai: Any, question: dict[str, Any], timeout: float, out: TextIO, lock: threading.Lock
) -> None:
    try:
        told = {"answer": _ask(genai, question, timeout)}
    except Exception as error:  # noqa: BLE001 - whatever it is, the other side waits for a line
        told = {"error": _failure(error)}
    with lock:
        out.write(json.dumps({"id": question["id"], **told}) + "\n")
        out.flush()


def _ask(genai: Any, question: dict[str, Any], timeout: float) -> dict[str, Any]:
    model = genai.GenerativeModel(question["model"], system_instruction=question["system"])
    response = model.generate_content(
        question["text"],
        generation_config={
            "temperature": question["temperature"],
            "max_output_tokens": question["max_output_tokens"],
            "response_mime_type": "application/json",
            "response_schema": question["schema"],
        },
        request_options={"timeout": timeout, "retry": None},
    )
    candidates = list(response.candidates)
    first = candidates[0] if candidates else None
    usage = response.usage_metadata
    return {
        "block": _name(response.prompt_feedback.block_reason),
        "finish": None if first is None else _name(first.finish_reason),
        "text": "" if first is None else "".join(part.text for part in first.content.parts),
        "input": usage.prompt_token_count,
        "output": usage.candidates_token_count,
        "cached": usage.cached_content_token_count,
    }


def _name(reason: Any) -> str | None:
    """A reason's name; None where none was given."""
    if not reason:
        return None
    return str(getattr(reason, "name", reason))


def _failure(error: Exception) -> dict[str, Any]:
    """What happened, in codes: nothing of a question or an answer."""
    import google.api_core.exceptions as core
    import requests

    if isinstance(error, core.GoogleAPICallError) and error.code is not None:
        body, headers = _response_of(error)
        return {"kind": "http", "code": int(error.code), "body": body, "headers": headers}
    if isinstance(error, (requests.ConnectTimeout, requests.Timeout, core.RetryError)):
        return {"kind": "timeout"}
    if isinstance(error, requests.ConnectionError):
        return {"kind": "unreachable" if _never_sent(error) else "connection_lost"}
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema)):
        return {"kind": "wrong_address"}
    if type(error).__name__ in ("ParseError", "JSONDecodeError"):
        return {"kind": "unreadable_answer"}
    return {"kind": "failed", "name": type(error).__name__}


def _response_of(error: Any) -> tuple[Any, dict[str, str]]:
    """Details that may hold a delay, and the header that may."""
    response = getattr(error, "response", None)
    if response is None:
        return None, {}
    headers = {"retry-after": str(response.headers.get("retry-after", ""))}
    try:
        body = response.json()
        details = body["error"].get("details") if isinstance(body, dict) else None
    except (ValueError, KeyError, AttributeError, TypeError):
        return None, headers
    delays = [
        {"retryDelay": str(one["retryDelay"])[:20]}
        for one in details or []
        if isinstance(one, dict) and "retryDelay" in one
    ]
    return {"error": {"details": delays}}, headers


def _never_sent(error: Exception) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if type(seen).__name__ in ("NewConnectionError", "NameResolutionError"):
            return True
        reason = getattr(seen, "reason", None)
        inner = seen.args[0] if seen.args else None
        seen = next(
            (one for one in (reason, inner, seen.__cause__) if isinstance(one, BaseException)),
            None,
        )
    return False


if __name__ == "__main__":
    main()
