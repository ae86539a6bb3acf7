"""What may be kept of a client's address and user agent: a region and three words.

Belongs here: the reduction. Does not: storing. Invariant: neither the address nor the user agent
leaves this module, and programs that are not browsers tell nothing about a person's device.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

# First match wins: most browsers also name those they descend from.
_BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS: Final = (
    ("Windows", "Windows"),
    ("iPhone", "iOS"),
    ("iPad", "iOS"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
_BOTS: Final = ("bot", "crawler", "spider", "headless")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@lru_cache(maxsize=4_096)
def device_info(user_agent: str) -> dict[str, str] | None:
    """``{device_type, browser, os}`` of a browser; None for any other program."""
    if not user_agent.startswith("Mozilla/"):
        return None
    lowered = user_agent.lower()
    if any(word in lowered for word in _BOTS):
        return {"device_type": "bot", "browser": "other", "os": "other"}
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), "other")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "other")
    if "iPad" in user_agent or ("Android" in user_agent and "Mobile" not in user_agent):
        kind = "tablet"
    elif "Mobi" in user_agent or "iPhone" in user_agent:
        kind = "mobile"
    else:
        kind = "desktop"
    return {"device_type": kind, "browser": browser, "os": system}


class Geography:
    """``{country, region, city}`` of addresses, from a MaxMind DB file where one is configured."""

    def __init__(self, file: Path | None) -> None:
        self._reader: Any = None
        if file is not None:
            import maxminddb

            self._reader = maxminddb.open_database(file)

    def locate(self, address: str | None) -> dict[str, str] | None:
        """None without a file, or for an address that is not in it."""
        # An IPv4 client of a socket for both comes as ::ffff:192.0.2.7.
        parsed = _parsed(address)
        if self._reader is None or parsed is None:
            return None
        try:
            found = self._reader.get(parsed)
        except ValueError:  # IPv6, in a database of IPv4
            return None
        if not isinstance(found, dict):
            return None
        subdivisions = found.get("subdivisions") or [{}]
        names = {
            "country": (found.get("country") or {}).get("iso_code"),
            "region": _name(subdivisions[0]),
            "city": _name(found.get("city") or {}),
        }
        return {key: value for key, value in names.items() if value} or None

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()


def client_address(peer: str | None, forwarded_for: str, trusted: Sequence[Network]) -> str | None:
    """The address a request came from: the last one that no trusted proxy has."""
    if not is_in(peer, trusted):
        return peer
    for part in reversed([part.strip() for part in forwarded_for.split(",") if part.strip()]):
        if not is_in(part, trusted):
            return part
        peer = part
    return peer


def is_in(address: str | None, networks: Sequence[Network]) -> bool:
    parsed = _parsed(address)
    return parsed is not None and any(
        parsed in network for network in networks if network.version == parsed.version
    )


def is_loopback(address: str | None) -> bool:
    """Whether a peer is this machine; a peer without an address is a local socket."""
    parsed = _parsed(address)
    return address is None or (parsed is not None and parsed.is_loopback)


@lru_cache(maxsize=1_024)
def _parsed(address: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return None
    mapped = getattr(parsed, "ipv4_mapped", None)
    return mapped or parsed


def _name(place: dict[str, Any]) -> str | None:
    return (place.get("names") or {}).get("en")
