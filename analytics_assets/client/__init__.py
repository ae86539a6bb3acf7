"""Python clients of the HTTP API, for applications: sending events, asking for numbers.

Belongs here: what an application imports. Invariant: nothing beyond the standard library is
imported (tested), so that the package costs an application nothing; docs/application-developer.md
shows its use.
"""

from analytics_assets.client.async_client import AsyncAnalytics
from analytics_assets.client.contract import AnalyticsError, Problem, Stats
from analytics_assets.client.searches import RecordSearches, record_searches
from analytics_assets.client.sync_client import Analytics

__all__ = [
    "Analytics",
    "AnalyticsError",
    "AsyncAnalytics",
    "Problem",
    "RecordSearches",
    "Stats",
    "record_searches",
]
