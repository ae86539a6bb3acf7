"""The rooms of insights stand in a row: each uses only those before it."""

from __future__ import annotations

import ast
from pathlib import Path

import analytics_assets.insights

HOUSE = Path(analytics_assets.insights.__file__).parent
PACKAGE = "analytics_assets.insights."
ROOMS = (
    *("words", "scrubbing", "providers", "vectors", "asking", "conversations"),
    *("users", "groups", "returns", "answers", "summary", "evaluation"),
)


def used_by(file: Path) -> set[str]:
    """Rooms, and modules beside them, that a file imports anywhere in it."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    found = {f"{node.module}." for node in imports}
    found |= {f"{node.module}.{name.name}." for node in imports for name in node.names}
    return {name.removeprefix(PACKAGE).split(".")[0] for name in found if name.startswith(PACKAGE)}


def test_every_folder_is_a_room() -> None:
    assert {file.parent.name for file in HOUSE.glob("*/*.py")} == set(ROOMS)


def test_rooms_use_only_rooms_before_them() -> None:
    for place, room in enumerate(ROOMS):
        for file in (HOUSE / room).glob("*.py"):
            assert not used_by(file) & set(ROOMS[place + 1 :]), f"{room}/{file.name}"


def test_what_stands_beside_the_rooms_uses_none() -> None:
    for file in HOUSE.glob("*.py"):
        assert not used_by(file) & set(ROOMS), file.name
