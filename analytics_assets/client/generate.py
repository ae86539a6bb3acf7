"""The typed methods, written from the event catalogue.

Belongs here: turning event types into Python. Invariant: ``events.py`` says what the shipped
catalogue says (tested). ``python -m analytics_assets.client.generate`` writes it anew; with
``--catalogue FOLDER --output FILE`` it writes a module with the types of your own catalogue as
well, whose ``EventMethods`` a class of yours has as a base, after a client. Needs the ``platform``
extra.
"""

from __future__ import annotations

import argparse
import json
import keyword
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from analytics_assets.client.contract import Envelope
from analytics_assets.events.catalogue import Catalogue, EventSchema, Field, load_catalogue

FILE: Final = Path(__file__).with_name("events.py")
# Both searches would be `track_search_performed`.
NAMES: Final = {"search_performed": "track_registry_search"}
TYPES: Final = {
    "string": "str", "integer": "int", "number": "float", "boolean": "bool",
    "object": "Mapping[str, Any]",
}  # fmt: skip
_TAKEN: Final = {*Envelope.__annotations__, "self", "envelope"}
_HEAD: Final = '''"""A method for each event type, by `python -m analytics_assets.client.generate`.

Change the catalogue, not this file. Invariant: arguments are the catalogue's fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar, Unpack

from analytics_assets.client.contract import Envelope, given

Taken = TypeVar("Taken")


class EventMethods(Generic[Taken]):
    """What a client can track; ``Taken`` is what tracking returns."""

    def track(
        self, event_type: str, event_data: Mapping[str, Any] | None = None, **keywords: Any
    ) -> Taken:
        raise NotImplementedError
'''


def source(catalogue: Catalogue) -> str:
    """The module's text. Raises ValueError where two types would have one method."""
    methods: dict[str, EventSchema] = {}
    for schema in catalogue.schemas.values():
        name = NAMES.get(schema.event_type) or f"track_{_identifier(schema.event_type)}"
        if name in methods:
            raise ValueError(
                f"{schema.event_type} and {methods[name].event_type} would both be {name}: "
                "rename one of them"
            )
        methods[name] = schema
    return _HEAD + "".join(_method(name, schema) for name, schema in methods.items())


def _method(name: str, schema: EventSchema) -> str:
    fields = sorted(schema.fields.items(), key=lambda item: not item[1].required)
    arguments = {field: _argument(field) for field, _ in fields}
    # A star needs an argument after it.
    lines = ["", f"    def {name}(", "        self,", *(["        *,"] if fields else [])]
    for field, spec in fields:
        annotation = _annotation(spec)
        given = annotation if spec.required else f"{annotation} | None = None"
        lines.append(f"        {arguments[field]}: {given},")
    lines += ["        **envelope: Unpack[Envelope],", "    ) -> Taken:"]
    lines += [f'        """{_plain(schema.description)}', ""]
    lines.append(f"        Sends ``{schema.event_type}``.")
    for field, spec in fields:
        personal = " Personal." if spec.personal else ""
        lines += _wrapped(f"- ``{arguments[field]}``: {_plain(spec.description)}{personal}")
    lines.append('        """')
    lines += ["        return self.track(", f"            {_quoted(schema.event_type)},"]
    if fields:
        lines += ["            given(", "                {"]
        lines += [f"                    {_quoted(f)}: {arguments[f]}," for f, _ in fields]
        lines += ["                }", "            ),"]
    else:
        lines.append("            {},")
    lines += ["            **envelope,", "        )", ""]
    return "\n".join(lines)


def _annotation(spec: Field) -> str:
    if spec.type == "array":
        return f"Sequence[{TYPES[spec.items] if spec.items else 'Any'}]"
    return TYPES[spec.type]


def _argument(field: str) -> str:
    name = _identifier(field)
    return f"{name}_" if name in _TAKEN or keyword.iskeyword(name) else name


def _identifier(text: str) -> str:
    name = re.sub(r"\W", "_", text)
    return f"_{name}" if name[:1].isdigit() else name


def _quoted(text: str) -> str:
    return json.dumps(text)


def _plain(text: str) -> str:
    """A description that cannot end the docstring it stands in."""
    return " ".join(text.split()).replace("\\", "/").replace('"', "'")


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text, 100, initial_indent="        ", subsequent_indent="          ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the module."""
    parser = argparse.ArgumentParser(description="Write the client's typed methods.")
    parser.add_argument("--catalogue", type=Path, action="append", default=[], metavar="FOLDER")
    parser.add_argument("--output", type=Path, default=FILE, metavar="FILE")
    chosen = parser.parse_args(arguments)
    chosen.output.write_text(source(load_catalogue(chosen.catalogue)), encoding="utf-8")


if __name__ == "__main__":
    main()
