"""A made-up company whose every figure is known: files to load, and the truth about them.

Belongs here: the generator of sample data. Does not: loading it. Invariant: the same parameters
and seed give the same bytes, and the truth file counts exactly what the data files hold.
"""

from __future__ import annotations

from analytics_assets.sources.sample.generate import generate_sample
from analytics_assets.sources.sample.manifest import SampleManifest, load_manifest

__all__ = ["SampleManifest", "generate_sample", "load_manifest"]
