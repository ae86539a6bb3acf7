"""YAML as nodes that know where they stand, and complaints that say so.

Belongs here: reading a file into nodes, taking mappings and scalars apart. Does not: what a
catalogue is (``catalogue_files``, ``field_files``). Invariant: nothing here raises for a wrong
file; what is wrong becomes a ``Problem`` and the value ``None``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final, NamedTuple

import yaml
from yaml.constructor import ConstructorError, SafeConstructor

# libyaml's parser where PyYAML was built with it: ten times faster, same nodes.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_EXPONENT: Final = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?[eE][-+]?[0-9]+")
Scalar = str | int | float | bool | None


class Problem(NamedTuple):
    """``line`` counts from 1; 0 means the whole file or folder."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.text}"


@dataclass(frozen=True)
class Spot:
    """A key of a file: its path from the top, such as ``events.share.fields``, and its line."""

    problems: list[Problem]
    file: str
    path: str = ""
    line: int = 1

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"

    def problem(self, text: str, *, line: int | None = None) -> None:
        """Note what is wrong here."""
        where = f"{self.path}: " if self.path else ""
        self.problems.append(Problem(self.file, self.line if line is None else line, where + text))

    def entries(
        self, node: yaml.Node, *, holds: str, known: Sequence[str] | None = None
    ) -> dict[str, tuple[Spot, yaml.Node]] | None:
        """The node's keys with their spots and values; ``None`` where it is no mapping.

        ``holds`` says in messages what belongs there; keys outside ``known`` are problems.
        """
        if not isinstance(node, yaml.MappingNode):
            self.problem(f"must be a mapping ({holds}), not {kind_of(node)}")
            return None
        found: dict[str, tuple[Spot, yaml.Node]] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                self.problem(f"a key must be plain text, not {kind_of(key)}", line=line)
                continue
            name = str(key.value)
            spot = Spot(self.problems, self.file, f"{self.path}.{name}".lstrip("."), line)
            if name in found:
                spot.problem(f"is here twice; the first is in line {found[name][0].line}")
            elif known is not None and name not in known:
                spot.problem(f"{name!r} is not one of {', '.join(known)}{suggestion(name, known)}")
            else:
                found[name] = (spot, value)
        return found

    def text(self, node: yaml.Node) -> str | None:
        """A scalar as it is written, whatever YAML would make of it."""
        if isinstance(node, yaml.ScalarNode) and not is_empty(node):
            return str(node.value)
        self.problem(f"must be text, not {kind_of(node)}")
        return None


def suggestion(name: str, known: Sequence[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and value_of(node) is None


def value_of(node: yaml.Node) -> Scalar:
    """What YAML makes of a scalar; dates and the like stay text, ``1e6`` is a number as in 1.2."""
    if isinstance(node, yaml.ScalarNode) and not node.style and _EXPONENT.fullmatch(node.value):
        return float(node.value)
    try:
        value = SafeConstructor().construct_object(node)
    except (ConstructorError, ValueError):
        return str(node.value)
    return value if value is None or isinstance(value, str | int | float) else str(node.value)


def kind_of(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list" if node.value else "an empty list"
    value = value_of(node)
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"{node.value!r}, which YAML reads as a boolean (put text in quotes)"
    return f"the {'text' if isinstance(value, str) else 'number'} {node.value!r}"


def compose_file(path: Path, spot: Spot) -> yaml.Node | None:
    """The file's only document; ``None`` where there is none or it is no YAML."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
        root: yaml.Node | None = yaml.compose(text, Loader=_LOADER)
    except OSError as error:
        spot.problem(f"cannot be read: {error.strerror}", line=0)
        return None
    except UnicodeDecodeError as error:
        spot.problem("is not UTF-8 text", line=data.count(b"\n", 0, error.start) + 1)
        return None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        parts = [part for part in (error.context, error.problem) if part]
        spot.problem(f"is not YAML: {', '.join(parts)}", line=line)
        return None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        spot.problem("is not YAML: it has a control character", line=line)
        return None
    if root is None or is_empty(root):
        spot.problem("is empty; a catalogue file has category, retention and events")
        return None
    return root
