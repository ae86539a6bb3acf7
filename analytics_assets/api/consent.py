"""``POST /api/privacy/consent``: a person's decision, recorded for good.

Belongs here: the route. Does not: what follows from a decision, which ``vault.consenting`` says
from then on. Invariant: answered when it is committed.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from analytics_assets.api.keys import Principal, require
from analytics_assets.api.problems import Problem, responses
from analytics_assets.events.envelope import JUNK_USER_IDS, MAX_USER_ID_BYTES

if TYPE_CHECKING:
    from analytics_assets.api.services import Services

router = APIRouter(tags=["privacy"])
Recorder = Annotated[Principal, Depends(require("privacy:consent"))]


class Consent(BaseModel):
    """One decision of one person."""

    model_config = ConfigDict(extra="forbid")

    user_id: str = Field(min_length=1, max_length=MAX_USER_ID_BYTES, examples=["u1"])
    purpose: str = Field(pattern="^[a-z][a-z0-9_]{0,63}$", examples=["insights"])
    text_version: str = Field(min_length=1, max_length=100, examples=["2026-05"])
    decision: Literal["granted", "withdrawn"]
    decided_at: AwareDatetime | None = Field(default=None, description="Now where left out.")

    @field_validator("user_id", "text_version")
    @classmethod
    def _storable(cls, value: str) -> str:
        if "\0" in value or not value.isprintable():
            raise ValueError("must be printable text")
        return value

    @field_validator("user_id")
    @classmethod
    def _is_a_user(cls, value: str) -> str:
        if value.strip().lower() in JUNK_USER_IDS or len(value.encode()) > MAX_USER_ID_BYTES:
            raise ValueError("must be the id of one person")
        return value


class Recorded(BaseModel):
    """Number of the decision in the ledger."""

    consent_id: int
    user_id: str
    purpose: str
    decision: str
    decided_at: datetime


@router.post(
    "/api/privacy/consent",
    status_code=202,
    responses=responses(
        "missing_key", "insufficient_scope", "invalid_request", "rate_limited", "store_unavailable"
    ),
)
async def record_consent(request: Request, principal: Recorder, consent: Consent) -> Recorded:
    """Record that a person granted or withdrew consent to a purpose."""
    services: Services = request.app.state.services
    now = services.settings.now()
    decided_at = consent.decided_at or now
    if decided_at > now + services.settings.clock_skew:
        raise Problem("invalid_request", "decided_at lies in the future")
    async with services.pool.connection() as connection:
        cursor = await connection.execute(
            "select ops.record_consent(%s, %s, %s, %s, %s, %s, %s)",
            [
                consent.user_id,
                consent.purpose,
                consent.text_version,
                consent.decision,
                decided_at,
                principal.name,
                principal.key_id,
            ],
        )
        (consent_id,) = await cursor.fetchone()
    return Recorded(
        consent_id=consent_id,
        user_id=consent.user_id,
        purpose=consent.purpose,
        decision=consent.decision,
        decided_at=decided_at,
    )
