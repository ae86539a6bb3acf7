"""Every setting of the platform, read and validated in one place.

Belongs here: names, types, defaults and limits of settings, and the environment given to child
processes. Does not: connections, files' contents, anything that acts. Invariant: this is the only
module that reads the environment; an invalid value fails at start and names its variable.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "ANALYTICS_"
DEPLOYMENT_FILE = "deployment.env"
_NEEDED_BY_PROGRAMS = frozenset(
    ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "PATH", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR",
     "SSL_CERT_FILE", "TMPDIR", "TZ")
)  # fmt: skip
PROJECT_ROOT = Path(__file__).resolve().parent.parent


class SettingsError(Exception):
    """A setting is missing or wrong; the message names each variable and what it must be."""


class Settings(BaseSettings):
    """All settings, each read from ``ANALYTICS_<NAME>`` or from ``<home>/deployment.env``."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    home: Path = Path(".analytics")
    database_url: SecretStr | None = None
    start_day: date = date(2026, 1, 1)
    as_of: datetime | None = None
    clock_skew_seconds: int = Field(default=300, ge=0, le=86_400)
    sources_file: Path | None = None
    catalogue_dirs: str = ""
    dbt_project_dir: Path = PROJECT_ROOT / "dbt"
    dagster_home: Path | None = None

    gemini_api_key: SecretStr | None = None
    gemini_model: str = "gemini-2.5-flash-lite"
    gemini_base_url: str | None = None
    llm_provider: Literal["gemini", "openai_compatible", "google_generativeai", "none"] = "gemini"
    google_generativeai_python: Path | None = None
    llm_base_url: str | None = None
    llm_model: str | None = None
    llm_api_key: SecretStr | None = None
    llm_batch: Literal["auto", "on", "off"] = "auto"
    llm_batch_questions: int = Field(default=100, ge=1, le=1_000_000)
    llm_batch_wait_minutes: float = Field(default=10.0, ge=0, le=1440)
    llm_context_cache: Literal["auto", "off"] = "auto"
    scrub_ner: Literal["auto", "on", "off"] = "auto"
    llm_daily_budget_usd: float = Field(default=5.0, ge=0, le=1_000_000)
    llm_monthly_budget_usd: float = Field(default=50.0, ge=0, le=1_000_000)
    llm_input_usd_per_million: float | None = Field(default=None, ge=0, le=10_000)
    llm_output_usd_per_million: float | None = Field(default=None, ge=0, le=10_000)
    llm_requests_per_minute: int = Field(default=60, ge=1, le=100_000)
    llm_concurrency: int = Field(default=8, ge=1, le=256)
    llm_timeout_seconds: float = Field(default=60.0, gt=0, le=600)
    slack_webhook_url: SecretStr | None = None
    slack_bot_token: SecretStr | None = None
    slack_channel: str | None = None
    slack_api_url: str = "https://slack.com/api"
    owner_user_id: str | None = None

    ui_host: str = "127.0.0.1"
    ui_port: int = Field(default=3000, ge=1, le=65_535)
    code_server_host: str = "127.0.0.1"
    code_server_port: int = Field(default=4000, ge=1, le=65_535)

    api_host: str = "127.0.0.1"
    api_port: int = Field(default=8000, ge=1, le=65_535)
    api_workers: int = Field(default=1, ge=1, le=64)
    api_trusted_proxies: str = ""
    api_allow_plain_http: bool = False
    api_queue_events: int = Field(default=20_000, ge=1_000, le=1_000_000)
    api_group_events: int = Field(default=5_000, ge=1, le=100_000)
    api_commit_timeout_seconds: float = Field(default=10.0, gt=0, le=300)
    api_body_timeout_seconds: float = Field(default=15.0, gt=0, le=300)
    api_public_requests_per_minute: int = Field(default=120, ge=1, le=1_000_000)
    geo_database: Path | None = None

    min_free_disk_mib: int = Field(default=1024, ge=0)

    @field_validator("home", "sources_file", "dagster_home", "geo_database", mode="after")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @field_validator("as_of", mode="after")
    @classmethod
    def _aware(cls, value: datetime | None) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    @field_validator(
        "as_of",
        "sources_file",
        "database_url",
        "gemini_api_key",
        "geo_database",
        "llm_base_url",
        "llm_model",
        "llm_api_key",
        "google_generativeai_python",
        "slack_webhook_url",
        "slack_bot_token",
        "slack_channel",
        "owner_user_id",
        mode="before",
    )
    @classmethod
    def _blank_is_unset(cls, value: Any) -> Any:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("api_trusted_proxies", mode="after")
    @classmethod
    def _networks(cls, value: str) -> str:
        for part in filter(None, value.split(",")):
            try:
                ip_network(part.strip())
            except ValueError:
                raise ValueError(
                    f"{part.strip()!r} is not a network such as 10.0.0.0/8 or 192.0.2.7"
                ) from None
        return value

    @field_validator("as_of", mode="after")
    @classmethod
    def _not_in_the_future(cls, value: datetime | None) -> datetime | None:
        if value is not None and value > datetime.now(UTC):
            raise ValueError("lies in the future; leave it unset to follow the system's clock")
        return value

    @model_validator(mode="after")
    def _starts_before_now(self) -> Settings:
        if self.start_day > self.now().date():
            raise ValueError(
                f"{PREFIX}START_DAY ({self.start_day}) lies after the platform's clock "
                f"({self.now().date()}); set {PREFIX}START_DAY to the first day that has data"
            )
        return self

    def now(self) -> datetime:
        """The platform's one clock: ``ANALYTICS_AS_OF`` where set, else the system's, in UTC."""
        return self.as_of or datetime.now(UTC)

    @property
    def clock_skew(self) -> timedelta:
        return timedelta(seconds=self.clock_skew_seconds)

    @cached_property
    def catalogue_folders(self) -> list[Path]:
        """Folders with the user's own catalogue files, from a path list."""
        return [Path(p).absolute() for p in self.catalogue_dirs.split(os.pathsep) if p.strip()]

    @property
    def trusted_proxies(self) -> list[IPv4Network | IPv6Network]:
        """Networks whose ``X-Forwarded-For`` and ``X-Forwarded-Proto`` are believed."""
        return [ip_network(part.strip()) for part in self.api_trusted_proxies.split(",") if part]

    @property
    def dagster_home_dir(self) -> Path:
        return self.dagster_home or self.home / "dagster"


def load_settings(**overrides: Any) -> Settings:
    """Read settings from overrides, the environment, then ``<home>/deployment.env``.

    Raises SettingsError listing every wrong variable by its name.
    """
    home = Path(overrides.get("home") or os.environ.get(f"{PREFIX}HOME") or ".analytics")
    try:
        return Settings(_env_file=home / DEPLOYMENT_FILE, **overrides)
    except ValidationError as error:
        lines = []
        for problem in error.errors(include_input=False, include_url=False):
            name = "_".join(str(part) for part in problem["loc"]).upper()
            variable = f"{PREFIX}{name}: " if name else ""
            lines.append(f"{variable}{problem['msg'].removeprefix('Value error, ')}")
        raise SettingsError("invalid settings\n  " + "\n  ".join(lines)) from None


def own_folders(settings: Settings) -> list[Path]:
    """Folders of the platform and its Python: their paths tell nothing of the people it serves."""
    python = [Path(prefix) for prefix in (sys.prefix, sys.base_prefix)]
    return [PROJECT_ROOT, settings.home, settings.dagster_home_dir, Path.home(), *python]


def write_deployment_file(home: Path, values: dict[str, str]) -> Path:
    """Record what a deployment is (start day, pinned clock, sources) for later commands."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / DEPLOYMENT_FILE
    lines = [f"{PREFIX}{key.upper()}={value}" for key, value in sorted(values.items())]
    scratch = path.with_suffix(".partial")
    scratch.write_text("\n".join(lines) + "\n", encoding="utf-8")
    scratch.replace(path)
    return path


def child_environment(extra: dict[str, str]) -> dict[str, str]:
    """The environment of a child process: this one's plus ``extra``."""
    return {**os.environ, **extra}


def lean_environment() -> dict[str, str]:
    """What a child process needs to run and to reach the network; no setting of the platform."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in _NEEDED_BY_PROGRAMS or name.lower().endswith("_proxy")
    }


def export_to_process(values: dict[str, str]) -> None:
    """Put values into this process's environment, for libraries that read only that."""
    os.environ.update(values)


@contextmanager
def exported(values: dict[str, str]) -> Iterator[None]:
    """Like ``export_to_process``, undone on leaving."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
