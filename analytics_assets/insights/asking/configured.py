"""Which model answers and within what limits, as the settings say.

Belongs here: from settings to a provider and limits. Does not: any vendor. Invariant: what is
missing is said in one sentence that names the setting; a model without a known price is not asked,
because no cap could hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analytics_assets.insights.asking.batching import BatchLimits
from analytics_assets.insights.asking.budget import Budget
from analytics_assets.insights.asking.stage_run import Limits
from analytics_assets.insights.providers.protocol import Provider
from analytics_assets.insights.scrubbing.ner import NOT_INSTALLED, is_installed

if TYPE_CHECKING:
    from analytics_assets.settings import Settings

NO_KEY = "ANALYTICS_GEMINI_API_KEY is not set"
NO_ADDRESS = "ANALYTICS_LLM_BASE_URL and ANALYTICS_LLM_MODEL are not both set"
NO_ENVIRONMENT = (
    "google-generativeai is not installed (run `analytics-assets insights "
    "install-google-generativeai`)"
)
SWITCHED_OFF = "ANALYTICS_LLM_PROVIDER is none"


@dataclass(frozen=True)
class ConfiguredModel:
    """A provider and its limits, or ``why_none``."""

    provider: Provider | None
    limits: Limits
    why_none: str | None = None


def configured(settings: Settings) -> ConfiguredModel:
    """The model the settings name. Opens no connection."""
    provider, why_none = _provider(settings)
    budget = None
    if provider is not None:
        budget = Budget.from_settings(settings, provider.model)
        if budget is None:
            why_none = (
                f"the price of {provider.model!r} is not known; set "
                "ANALYTICS_LLM_INPUT_USD_PER_MILLION and ANALYTICS_LLM_OUTPUT_USD_PER_MILLION "
                "(0 for a model of your own)"
            )
            provider = None
    limits = Limits(
        settings.llm_requests_per_minute,
        settings.llm_concurrency,
        budget=budget,
        price=None if budget is None else budget.price,
        batch=_batch_limits(settings),
        context_cache=settings.llm_context_cache == "auto",
    )
    return ConfiguredModel(provider, limits, why_none)


def _batch_limits(settings: Settings) -> BatchLimits | None:
    if settings.llm_batch == "off":
        return None
    return BatchLimits(
        least=settings.llm_batch_questions,
        wait=60 * settings.llm_batch_wait_minutes,
        open_day=settings.llm_batch == "on",
    )


def why_no_model(settings: Settings) -> str | None:
    """Why no model will be asked, or None where one will."""
    return configured(settings).why_none


def _provider(settings: Settings) -> tuple[Provider | None, str | None]:
    if settings.llm_provider == "none":
        return None, SWITCHED_OFF
    if settings.scrub_ner == "on" and not is_installed():
        return None, NOT_INSTALLED
    if settings.llm_provider == "openai_compatible":
        from analytics_assets.insights.providers.openai_compatible import OpenAiCompatibleProvider

        own = OpenAiCompatibleProvider.from_settings(settings)
        return own, None if own else NO_ADDRESS
    if settings.llm_provider == "google_generativeai":
        from analytics_assets.insights.providers.google_generativeai import (
            GoogleGenerativeAiProvider,
        )

        old = GoogleGenerativeAiProvider.from_settings(settings)
        if old is None:
            return None, NO_KEY if settings.gemini_api_key is None else NO_ENVIRONMENT
        return old, None
    from analytics_assets.insights.providers.gemini_batch import GeminiBatchProvider

    found = GeminiBatchProvider.from_settings(settings)
    return found, None if found else NO_KEY
