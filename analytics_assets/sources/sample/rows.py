"""Events as columns of text: ids, times and the parts that all events of a session share.

Belongs here: turning the numbers of a slab into text. Does not: file formats (``writer``).
Invariant: a ``Row`` is what every format can express; its JSON columns hold JSON text.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from analytics_assets.sources.sample import vocabulary as words
from analytics_assets.sources.sample.behaviour import Slab
from analytics_assets.sources.sample.company import Company
from analytics_assets.sources.sample.draws import EVENTS, Ints, pick, stream, zipf_weights
from analytics_assets.sources.sample.eventtypes import EVENT_TYPES
from analytics_assets.sources.sample.payloads import (
    Context,
    Entities,
    Observations,
    build_payloads,
)

ROAMING_SHARE: Final = 0.02
OTHER_DEVICE_SHARE: Final = 0.15
_DIGITS: Final = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
_HEX_PLACES: Final = [place for place in range(36) if place not in (8, 13, 18, 23)]
_GEO: Final = [
    f'{{"country":"{city.country}","region":"{city.region}","city":"{city.city}"}}'
    for city in words.CITIES
]


class Row(NamedTuple):
    """One event as text; ``event_data``, ``metadata``, geo and device are JSON."""

    event_id: str
    event_type: str
    timestamp: str | None
    user_id: str | None
    session_id: str
    entity_type: str | None
    entity_id: str | None
    event_data: str
    metadata: str
    source: str
    geo_location: str
    device_info: str


@dataclass(frozen=True)
class Sessions:
    """What all events of a session share, one entry per session of the slab."""

    user_id: list[str | None]
    session_id: list[str]
    metadata: list[str]
    source: list[str]
    geo_location: list[str]
    device_info: list[str]


@dataclass(frozen=True)
class Batch:
    """The events of a slab as columns; ``type`` and ``session`` are indexes."""

    event_id: list[str]
    type: list[int]
    timestamp: list[str]
    session: list[int]
    entity_id: list[str | None]
    event_data: list[str]
    sessions: Sessions

    def __len__(self) -> int:
        """Events in the batch."""
        return len(self.event_id)

    def row(self, index: int) -> Row:
        """One event of the batch."""
        kind = EVENT_TYPES[self.type[index]]
        number, shared = self.session[index], self.sessions
        return Row(
            self.event_id[index],
            kind.name,
            self.timestamp[index],
            shared.user_id[number],
            shared.session_id[number],
            kind.entity,
            self.entity_id[index],
            self.event_data[index],
            shared.metadata[number],
            shared.source[number],
            shared.geo_location[number],
            shared.device_info[number],
        )


def event_ids(rng: np.random.Generator, count: int) -> list[str]:
    """Random UUIDs of version 4 from the generator's bytes."""
    raw = np.frombuffer(rng.bytes(16 * count), dtype=np.uint8).reshape(count, 16).copy()
    raw[:, 6] = (raw[:, 6] & 0x0F) | 0x40
    raw[:, 8] = (raw[:, 8] & 0x3F) | 0x80
    text = np.full((count, 36), ord("-"), dtype=np.uint8)
    nibbles = np.stack([raw >> 4, raw & 0x0F], axis=2).reshape(count, 32)
    text[:, _HEX_PLACES] = _DIGITS[nibbles]
    return _split(text)


def timestamps(day: date, at_ms: Ints) -> list[str]:
    """RFC 3339 in UTC with milliseconds, for milliseconds since the day's midnight."""
    head = np.frombuffer(f"{day.isoformat()}T00:00:00.000Z".encode(), dtype=np.uint8)
    text = np.tile(head, (len(at_ms), 1))
    seconds, millis = np.divmod(at_ms, 1_000)
    minutes, seconds = np.divmod(seconds, 60)
    hours, minutes = np.divmod(minutes, 60)
    for place, value in ((11, hours), (14, minutes), (17, seconds)):
        text[:, place] += (value // 10).astype(np.uint8)
        text[:, place + 1] += (value % 10).astype(np.uint8)
    for place, unit in ((20, 100), (21, 10), (22, 1)):
        text[:, place] += (millis // unit % 10).astype(np.uint8)
    return _split(text)


def _split(text: npt.NDArray[np.uint8]) -> list[str]:
    """The lines of a matrix of ASCII characters."""
    width = text.shape[1]
    whole = text.tobytes().decode("ascii")
    return [whole[at : at + width] for at in range(0, len(whole), width)]


def describe_sessions(rng: np.random.Generator, company: Company, slab: Slab) -> Sessions:
    """Where each session of the slab comes from and with what."""
    user = slab.session_user
    count = len(user)
    tokens = rng.bytes(8 * count).hex()
    visitor = user < 0
    roaming = visitor | (rng.random(count) < ROAMING_SHARE)
    city = np.where(roaming, rng.integers(0, len(words.CITIES), count), company.city[user])
    other = visitor | (rng.random(count) < OTHER_DEVICE_SHARE)
    spread = pick(rng, np.cumsum(zipf_weights(len(words.DEVICES), 0.6)), count)
    device = np.where(other, spread, company.device[user])
    command_line = ~visitor & (rng.random(count) < company.cli_share[user])
    source = np.where(~visitor & company.bot[user], 2, np.where(command_line, 1, 0))
    version = pick(rng, np.cumsum([0.5, 0.3, 0.15, 0.05]), count)
    device_text = [[_device(one) for one in words.DEVICES]]
    device_text.append([_device(one) for one in words.CLI_DEVICES])
    device_text.append([_device(words.API_DEVICE)])
    sources = source.tolist()
    return Sessions(
        user_id=[None if n < 0 else company.user_ids[n] for n in user.tolist()],
        session_id=[f"ses_{tokens[at : at + 16]}" for at in range(0, 16 * count, 16)],
        metadata=[
            f'{{"app_version":"{words.APP_VERSIONS[number]}","locale":"{words.CITIES[place].locale}"}}'
            for number, place in zip(version.tolist(), city.tolist(), strict=True)
        ],
        source=[("web", "cli", "api")[number] for number in sources],
        geo_location=[_GEO[number] for number in city.tolist()],
        device_info=[
            device_text[kind][number % len(device_text[kind])]
            for kind, number in zip(sources, device.tolist(), strict=True)
        ],
    )


def _device(device: words.Device) -> str:
    """JSON of a device; one without a browser does not mention any."""
    browser = f'"browser":"{device.browser}",' if device.browser else ""
    return f'{{"device_type":"{device.device_type}",{browser}"os":"{device.os}"}}'


def render(
    company: Company,
    slab: Slab,
    day: date,
    *,
    seed: int,
    entities: Entities,
    observations: Observations,
) -> Batch:
    """The slab's events as text; what only their content tells is added to ``observations``."""
    rng = stream(seed, EVENTS, slab.day, slab.number, 1)
    sessions = describe_sessions(rng, company, slab)
    context = Context(company, slab, rng, entities, observations, sessions.session_id)
    entity_id, event_data = build_payloads(context)
    return Batch(
        event_id=event_ids(rng, slab.rows),
        type=slab.type.tolist(),
        timestamp=timestamps(day, slab.at_ms),
        session=slab.session.tolist(),
        entity_id=entity_id,
        event_data=event_data,
        sessions=sessions,
    )
