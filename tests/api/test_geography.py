"""Where a browser is, from a database file as the makers of such files write it."""

from __future__ import annotations

from pathlib import Path

import pytest
from door import Door, event, serving
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from analytics_assets.api.client_facts import Geography
from analytics_assets.settings import Settings

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PLACES = {
    "192.0.2.0/24": {
        "country": {"iso_code": "NP", "names": {"en": "Nepal"}},
        "subdivisions": [{"iso_code": "P3", "names": {"en": "Bagmati", "de": "Bagmati Pradesch"}}],
        "city": {"names": {"en": "Kathmandu"}},
        "location": {"latitude": 27.7, "longitude": 85.3},
    },
    "2001:db8::/32": {"country": {"iso_code": "DE"}},
    "198.51.100.0/24": {"traits": {"is_anonymous_proxy": True}},
}
KATHMANDU = {"country": "NP", "region": "Bagmati", "city": "Kathmandu"}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="GeoLite2-City")
    for network, place in PLACES.items():
        writer.insert_network(IPSet([network]), place)
    file = tmp_path_factory.mktemp("geo") / "city.mmdb"
    writer.to_db_file(str(file))
    return file


def test_addresses_are_reduced_to_country_region_and_city(places: Path) -> None:
    geography = Geography(places)
    assert geography.locate("192.0.2.77") == KATHMANDU
    assert geography.locate("::ffff:192.0.2.77") == KATHMANDU
    assert geography.locate("2001:db8::1") == {"country": "DE"}
    for nowhere in ("198.51.100.7", "203.0.113.1", "::1", "no address", None):
        assert geography.locate(nowhere) is None
    geography.close()
    assert Geography(None).locate("192.0.2.77") is None


def test_a_browsers_place_is_stored_and_its_address_is_not(
    own_door: Door, door_settings: Settings, places: Path
) -> None:
    located = door_settings.model_copy(
        update={"geo_database": places, "api_trusted_proxies": "127.0.0.1"}
    )
    with serving(located, own_door.database) as door:

        def send(address: str, agent: str) -> None:
            headers = {"x-forwarded-for": address, "x-forwarded-proto": "https"}
            answer = door.post(event(), headers={**headers, "user-agent": agent})
            assert answer.status_code == 202

        send("192.0.2.77", BROWSER)
        send("203.0.113.1", BROWSER)
        # A server that sends for its users says nothing of where they are.
        send("192.0.2.77", "python-httpx/0.28")
        waiting = str(door.rows("select to_jsonb(e)::text from inbox.entries as e"))
        door.load()
    assert own_door.rows("select geo_location from raw.platform_events order by 1") == [
        KATHMANDU, None, None,
    ]  # fmt: skip
    assert "192.0.2" not in waiting
    assert "27.7" not in waiting
