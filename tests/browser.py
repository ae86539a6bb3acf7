"""The headless browser every suite shares: one Chromium a session, driven by Playwright.

Belongs here: finding, starting and ending it. Invariant: a test makes and closes its own context
(`chromium.new_context()`), so that no test sees another's storage.

Playwright's synchronous API marks its event loop as the running one of the main thread for as long
as the browser lives, and `asyncio.run` refuses to start beside it. So the mark is there only while
a test runs that asks for `chromium`; such a test cannot call `asyncio.run` itself.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Generator, Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_loops: list[asyncio.AbstractEventLoop] = []


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A headless browser; skips, saying which package is missing, where there is none."""
    program = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no {' or '.join(PROGRAMS[:3])} on PATH; `apt install chromium` on Debian")
    with sync_playwright() as playwright:
        _loops.append(asyncio.get_running_loop())
        browser = playwright.chromium.launch(executable_path=program)
        yield browser
        asyncio._set_running_loop(_loops.pop())
        browser.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    asks = "chromium" in getattr(item, "fixturenames", ())
    asyncio._set_running_loop(_loops[-1] if asks and _loops else None)
    try:
        return (yield)
    finally:
        asyncio._set_running_loop(None)
