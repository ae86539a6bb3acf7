"""The workshop's work of embedding: texts in, vectors out. See workshop.py for the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def perform(
    values: Mapping[str, Any],
    arrays: Mapping[str, Any],  # noqa: ARG001 - the protocol's
) -> tuple[dict[str, Any], dict[str, Any]]:
    """``values``: model and texts. Gives ``vectors``, float16, in the order of the texts."""
    from analytics_assets.insights.vectors.embedding import embedder

    vectors = embedder(values["model"]).embed(values["texts"])
    return {}, {"vectors": vectors.astype("float16")}
