"""The words the sample company is made of: languages, places, names, tools, servers, queries.

Belongs here: constants only. Does not: probabilities, anything drawn or computed. Invariant: order
carries meaning (most frequent first), so that Zipf weights can be laid over every list.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class City(NamedTuple):
    """A place users work from; ``utc_offset`` in whole hours shifts their working day."""

    country: str
    region: str
    city: str
    utc_offset: int
    locale: str


class Device(NamedTuple):
    """What a session runs on; ``browser`` is empty for command line and API clients."""

    device_type: str
    browser: str
    os: str


# Eighteen languages of five families: web, data, systems, jvm, dotnet.
LANGUAGES: Final[tuple[str, ...]] = (
    "Python", "JavaScript", "TypeScript", "Java", "Go", "C#", "C++", "Rust", "PHP", "SQL",
    "Ruby", "Kotlin", "C", "R", "Scala", "Julia", "F#", "Zig",
)  # fmt: skip

ARCHETYPES: Final[tuple[str, ...]] = ("builder", "reviewer", "explorer", "maintainer", "automator")
ARCHETYPE_SHARES: Final[tuple[float, ...]] = (0.36, 0.22, 0.18, 0.14, 0.10)
ARCHETYPE_CLI_SHARES: Final[tuple[float, ...]] = (0.08, 0.08, 0.08, 0.25, 0.55)
# Means of activity, collaboration, diversity, AI savviness (0..100) and AI share (percent).
ARCHETYPE_MEANS: Final[tuple[tuple[float, ...], ...]] = (
    (72.0, 45.0, 50.0, 68.0, 38.0),
    (54.0, 80.0, 42.0, 45.0, 22.0),
    (40.0, 35.0, 82.0, 60.0, 45.0),
    (65.0, 62.0, 30.0, 35.0, 14.0),
    (86.0, 26.0, 58.0, 88.0, 62.0),
)

ROLES: Final[tuple[str, ...]] = ("freelancer", "client", "agency", "maintainer", "admin")

CITIES: Final[tuple[City, ...]] = (
    City("DE", "Berlin", "Berlin", 1, "de"),
    City("US", "California", "San Francisco", -8, "en"),
    City("GB", "England", "London", 0, "en"),
    City("US", "New York", "New York", -5, "en"),
    City("IN", "Karnataka", "Bengaluru", 5, "in"),
    City("FR", "Île-de-France", "Paris", 1, "fr"),
    City("ES", "Madrid", "Madrid", 1, "es"),
    City("PL", "Mazowieckie", "Warszawa", 1, "pl"),
    City("BR", "São Paulo", "São Paulo", -3, "es"),
    City("CA", "Ontario", "Toronto", -5, "en"),
    City("DE", "Bayern", "München", 1, "de"),
    City("MX", "Jalisco", "Guadalajara", -6, "es"),
    City("AU", "Victoria", "Melbourne", 10, "en"),
    City("FR", "Occitanie", "Toulouse", 1, "fr"),
)
DEVICES: Final[tuple[Device, ...]] = (
    Device("desktop", "Chrome", "Windows"),
    Device("desktop", "Chrome", "macOS"),
    Device("desktop", "Firefox", "Linux"),
    Device("mobile", "Safari", "iOS"),
    Device("desktop", "Safari", "macOS"),
    Device("mobile", "Chrome", "Android"),
    Device("desktop", "Edge", "Windows"),
    Device("tablet", "Safari", "iPadOS"),
)
CLI_DEVICES: Final[tuple[Device, ...]] = (
    Device("desktop", "", "Linux"),
    Device("desktop", "", "macOS"),
    Device("desktop", "", "Windows"),
)
API_DEVICE: Final = Device("server", "", "Linux")
APP_VERSIONS: Final[tuple[str, ...]] = ("3.14.2", "3.14.1", "3.13.0", "3.12.5")

FIRST_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "en": ("Olivia", "James", "Amelia", "Noah", "Grace", "Ethan", "Hannah", "Owen", "Chloe",
           "Lucas", "Ruby", "Declan"),
    "de": ("Anna", "Jürgen", "Katharina", "Lukas", "Käthe", "Moritz", "Birgit", "Tobias", "Sören",
           "Ulrike"),
    "fr": ("Camille", "François", "Élodie", "Hugo", "Noémie", "Théo", "Margaux", "Benoît"),
    "es": ("Lucía", "Álvaro", "Sofía", "Mateo", "Inés", "Joaquín", "Valentina", "Andrés"),
    "pl": ("Zofia", "Łukasz", "Agnieszka", "Paweł", "Małgorzata", "Krzysztof"),
    "in": ("Ananya", "Arjun", "Priya", "Rohan", "Kavya", "Vikram", "Meera", "Sanjay"),
}  # fmt: skip
LAST_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "en": ("Whitfield", "Harrington", "Okafor", "Bennett", "Ashworth", "Lindqvist", "Mercer",
           "Fairchild", "Donovan", "Prescott", "Hale", "Sutherland"),
    "de": ("Müller", "Schäfer", "Brandstätter", "Kröger", "Weißenfels", "Hoffmann", "Zöller",
           "Lindemann", "Vogelsang", "Reinhardt"),
    "fr": ("Lefèvre", "Moreau", "Garnier", "Chevalier", "Bélanger", "Rousseau", "Marchand"),
    "es": ("García", "Fernández", "Núñez", "Castellanos", "Ibáñez", "Quiroga", "Salazar"),
    "pl": ("Kowalska", "Wójcik", "Zieliński", "Dąbrowska", "Szymański", "Wiśniewski"),
    "in": ("Sharma", "Iyer", "Chatterjee", "Reddy", "Banerjee", "Kulkarni", "Nair"),
}  # fmt: skip
ORGANISATIONS: Final[tuple[str, ...]] = (
    "northwind-labs", "bluefjord", "quietharbor", "lumenworks", "paperkite", "stonebridge",
    "tidalcode", "copperleaf", "ninefold", "harvestmoon", "redlantern", "silverbirch",
)  # fmt: skip
# Ranges reserved for fiction or test where the country has them; each # becomes a digit.
PHONE_PATTERNS: Final[dict[str, str]] = {
    "en": "+1 415 555 01##", "de": "+49 30 23125 0##", "fr": "+33 1 99 00 4# ##",
    "es": "+34 910 00# ###", "pl": "+48 22 555 7# ##", "in": "+91 80 5550 2###",
}  # fmt: skip

AI_TOOLS: Final[tuple[str, ...]] = (
    "copilot", "claude-code", "cursor", "codex-cli", "gemini-cli", "aider", "windsurf",
)  # fmt: skip
PACKAGE_TEMPLATES: Final[tuple[str, ...]] = (
    "profile-readme", "wrapped-card", "portfolio-site", "resume-json", "team-badge",
)  # fmt: skip
SKILLS: Final[tuple[str, ...]] = (
    "react", "postgres", "kubernetes", "etl", "design-systems", "testing", "observability",
    "machine-learning", "security", "mobile", "payments", "documentation",
)  # fmt: skip
PROJECT_TYPES: Final[tuple[str, ...]] = ("fixed_price", "hourly", "retainer", "open_source")

SERVER_CATEGORIES: Final[tuple[str, ...]] = (
    "databases", "developer-tools", "search", "productivity", "cloud", "monitoring", "files", "ai",
)  # fmt: skip
TECHNOLOGIES: Final[tuple[str, ...]] = (
    "github", "postgres", "filesystem", "slack", "playwright", "notion", "kubernetes", "jira",
    "figma", "stripe", "sentry", "redis", "s3", "google-drive", "grafana", "docker", "linear",
    "mongodb", "bigquery", "terraform", "elasticsearch", "gitlab", "hubspot", "snowflake",
    "prometheus", "airtable", "kafka", "zendesk", "sqlite", "cloudflare", "datadog", "discord",
    "salesforce", "duckdb", "vercel", "asana", "clickhouse", "confluence", "twilio", "shopify",
)  # fmt: skip
SERVER_SUFFIXES: Final[tuple[str, ...]] = ("", "-readonly", "-lite", "-admin", "-gateway", "-sync")
QUERY_SUBJECTS: Final[tuple[str, ...]] = (
    "server", "integration", "read only access", "vector search", "oauth setup", "rate limits",
)  # fmt: skip
RARE_WORDS: Final[tuple[str, ...]] = (
    "ledger", "invoice", "payroll", "churn", "migration", "warehouse", "tariff", "robotics",
    "seismic", "genomics", "tenancy", "roster", "cadastre", "haulage", "glossary", "archive",
)  # fmt: skip
PROJECT_QUERIES: Final[tuple[str, ...]] = (
    "react developer", "data pipeline", "landing page", "postgres tuning", "mobile app",
    "api integration", "logo design", "etl python", "kubernetes setup", "security audit",
    "chatbot", "dashboard", "migration to cloud", "test automation", "technical writer",
    "scraping", "payment gateway", "ml model", "wordpress fix", "accessibility review",
)  # fmt: skip
