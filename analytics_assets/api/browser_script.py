"""``/analytics.js``: the script that web pages load.

Belongs here: serving it. Does not: the script (client/analytics.js). Invariant: what is served is
the committed file, readable and in one piece; browsers ask again within an hour of a change.
"""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from fastapi import APIRouter, Request
from starlette.responses import Response

router = APIRouter(tags=["browser"])
SCRIPT_FILE: Final = Path(__file__).parent.parent / "client" / "analytics.js"
MEDIA_TYPE: Final = "text/javascript; charset=utf-8"


class Script(NamedTuple):
    """The file, plain and compressed, and its entity tag."""

    plain: bytes
    compressed: bytes
    tag: str


@cache
def script() -> Script:
    """Read once a process."""
    plain = SCRIPT_FILE.read_bytes()
    tag = hashlib.sha256(plain).hexdigest()[:32]
    return Script(plain, gzip.compress(plain, 9, mtime=0), f'W/"{tag}"')


@router.head("/analytics.js", include_in_schema=False)
@router.get(
    "/analytics.js",
    response_class=Response,
    responses={
        200: {"description": "The script.", "content": {"text/javascript": {}}},
        304: {"description": "The script the browser has is the present one."},
    },
)
async def analytics_js(request: Request) -> Response:
    """The script that web pages send events with."""
    served = script()
    headers = {
        "ETag": served.tag,
        "Cache-Control": "public, max-age=3600",
        "Vary": "Accept-Encoding",
        # Any page may load it; the key it carries says which may use it.
        "Access-Control-Allow-Origin": "*",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    known = request.headers.get("if-none-match", "")
    if known == "*" or served.tag.removeprefix("W/") in known:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(served.compressed, headers=headers, media_type=MEDIA_TYPE)
    return Response(served.plain, headers=headers, media_type=MEDIA_TYPE)
