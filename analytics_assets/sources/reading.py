"""Files as bytes: finding, fingerprinting, decompressing, and cutting into lines.

Belongs here: everything below the formats. Does not: JSON, CSV, Parquet (``formats``). Invariant:
memory does not grow with a file or a line; a line Postgres could not store, or nobody could read,
comes out as a ``BadLine``, and all others as valid UTF-8 without NUL.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol, cast

from analytics_assets.sources.config import FilesSource
from analytics_assets.sources.errors import SourceError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

BLOCK_BYTES: Final = 2 * 1024 * 1024
MAX_LINE_BYTES: Final = 1024 * 1024
# What quarantine keeps of a line nobody could read: enough to recognise it.
KEPT_CHARACTERS: Final = 4_000
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_NEWLINE: Final = 10
_TOO_LONG: Final = (
    f"the line is longer than {MAX_LINE_BYTES // 1024} KB; send a reference to the content instead"
)


class Readable(Protocol):
    """What blocks are read from."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class BadLine:
    """A line for quarantine: its number from 1, the problem, and its escaped beginning."""

    line: int
    code: str
    message: str
    text: str


@dataclass
class LineBlock:
    """Lines as an Arrow array, each with its newline, and their numbers from 1."""

    numbers: npt.NDArray[np.int64]
    lines: pa.StringArray
    bad: list[BadLine]


def find_files(source: FilesSource) -> list[Path]:
    """The source's files by name. Raises SourceError where there are none and must be some."""
    pattern = str(source.folder / source.path)
    names = glob(pattern, recursive=True)  # noqa: PTH207 (Path.glob takes no absolute pattern)
    found = sorted(path for path in map(Path, names) if path.is_file())
    if not found and not source.optional:
        raise SourceError(
            f"source {source.name}: no file matches {pattern}; correct `path`, or set "
            "`optional: true` if there may be none"
        )
    return found


def name_of(path: Path, source: FilesSource) -> str:
    """A file as people see it: from the folder of the sources file, where it lies in there."""
    if path.is_relative_to(source.folder):
        return path.relative_to(source.folder).as_posix()
    return str(path)


def file_stamp(path: Path, name: str) -> str:
    """Name, size and modification time: what tells that a file is the one read before."""
    status = path.stat()
    return f"{name}?{status.st_size}.{status.st_mtime_ns}"


def content_hash(path: Path) -> str:
    """SHA-256 (hex) of the file's bytes as they lie on disk."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def open_bytes(path: Path) -> BinaryIO:
    """The file's content, decompressed where its name ends in .gz or .zst."""
    if path.suffix.lower() == ".gz":
        import gzip
        import io

        return cast("BinaryIO", io.BufferedReader(gzip.open(path), BLOCK_BYTES))
    if path.suffix.lower() == ".zst":
        import pyarrow as pa

        return cast("BinaryIO", pa.input_stream(str(path), compression="zstd"))
    return path.open("rb")


def line_blocks(stream: Readable) -> Iterator[LineBlock]:
    """Cut a stream into blocks of whole lines. Raises what the stream raises."""
    number = 1
    for content, oversized in _whole_lines(stream):
        block = _block(content, number)
        number += content.count(b"\n")
        if oversized is not None:
            block.bad.append(BadLine(number, "oversized", _TOO_LONG, escaped(oversized)))
            number += 1
        yield block


def escaped(content: bytes) -> str:
    r"""Bytes as text that can be stored: what is no UTF-8 and NUL as ``\x00``, cut to a length."""
    text = content[: 4 * KEPT_CHARACTERS].decode("utf-8", "backslashreplace")
    text = text.replace("\0", "\\x00")
    return text[:KEPT_CHARACTERS]


class Transcoded:
    """A stream in another encoding, read as UTF-8; bytes that make no sense stay invalid."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        import codecs

        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")

    def read(self, size: int, /) -> bytes:
        block = self._stream.read(size)
        text = self._decoder.decode(block, final=not block)
        if block and not text:
            return self.read(size)
        return text.encode("utf-8", "surrogateescape")


def _whole_lines(stream: Readable) -> Iterator[tuple[bytes, bytes | None]]:
    """Blocks that end with a line, each with the beginning of an oversized line that follows."""
    rest = b""
    skipping = False
    first = True
    while True:
        block = stream.read(BLOCK_BYTES)
        if first:
            block, first = block.removeprefix(_BYTE_ORDER_MARK), False
        if not block:
            break
        if skipping:
            end = block.find(b"\n")
            if end < 0:
                continue
            block, skipping = block[end + 1 :], False
        content = rest + block
        cut = content.rfind(b"\n") + 1
        content, rest = content[:cut], content[cut:]
        if len(rest) > MAX_LINE_BYTES:
            yield content, rest[: 4 * KEPT_CHARACTERS]
            rest, skipping = b"", True
        elif content:
            yield content, None
    if rest:
        yield rest + b"\n", None


def _block(content: bytes, first: int) -> LineBlock:
    import numpy as np
    import pyarrow as pa

    ends = np.flatnonzero(np.frombuffer(content, dtype=np.uint8) == _NEWLINE) + 1
    lengths = np.diff(ends, prepend=0)
    lines = _string_array(content, ends)
    numbers = np.arange(first, first + len(ends), dtype=np.int64)
    if b"\0" in content or (len(lengths) and lengths.max() > MAX_LINE_BYTES) or not _valid(lines):
        return _sorted_out(content, ends, numbers)
    blank = lengths <= len(b"\r\n")
    if blank.any():
        kept = [
            not (short and line is not None and not line.strip())
            for short, line in zip(blank.tolist(), lines.to_pylist(), strict=True)
        ]
        numbers, lines = numbers[kept], lines.filter(pa.array(kept))
    return LineBlock(numbers, lines, [])


def _sorted_out(
    content: bytes, ends: npt.NDArray[Any], numbers: npt.NDArray[np.int64]
) -> LineBlock:
    """The slow way, for blocks in which a line is bad."""
    import pyarrow as pa

    kept: list[bool] = []
    good: list[str] = []
    bad: list[BadLine] = []
    start = 0
    for number, end in zip(numbers.tolist(), ends.tolist(), strict=True):
        line = content[start:end]
        start = end
        problem = _problem_of(line)
        kept.append(problem is None)
        if problem is None:
            good.append(line.decode())
        else:
            bad.append(BadLine(number, *problem, escaped(line.rstrip(b"\r\n"))))
    return LineBlock(numbers[kept], pa.array(good, pa.string()), bad)


def _problem_of(line: bytes) -> tuple[str, str] | None:
    if len(line) > MAX_LINE_BYTES:
        return "oversized", _TOO_LONG
    if b"\0" in line:
        return "nul_byte", "the line holds a NUL byte; the file may be damaged or binary"
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return "invalid_utf8", (
            f"byte {error.start + 1} of the line is no UTF-8; write the file as UTF-8, or name "
            "its encoding"
        )
    return None


def _string_array(content: bytes, ends: npt.NDArray[Any]) -> pa.StringArray:
    """Lines without copying them: an Arrow array is its bytes and where each value begins."""
    import numpy as np
    import pyarrow as pa

    offsets = np.zeros(len(ends) + 1, dtype=np.int32)
    offsets[1:] = ends
    return pa.StringArray.from_buffers(
        len(ends), pa.py_buffer(offsets.tobytes()), pa.py_buffer(content)
    )


def _valid(lines: pa.StringArray) -> bool:
    import pyarrow as pa

    try:
        lines.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
