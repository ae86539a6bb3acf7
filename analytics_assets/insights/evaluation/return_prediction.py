"""How well returns are foretold, on companies whose people were made up with leaving in them.

Belongs here: the generator's days as the facts a model learns from, and the measures. Does not: the
model. Invariant: no server and no database; conversations are read by rules, as without a key.
"""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from analytics_assets.insights.evaluation.measure import Measure
from analytics_assets.insights.returns.features import (
    DAYS,
    Examples,
    UserWeeks,
    examples,
    weeks_with_data,
)

if TYPE_CHECKING:
    from analytics_assets.insights.returns.features import Floats

START: Final = date(2026, 1, 5)
USERS: Final = 400
WEEKS: Final = 12
SEEDS: Final = (7, 8, 9)
AUC_ALLOWANCE: Final = 0.01


def measures(seeds: Sequence[int] = SEEDS) -> list[Measure]:
    """Discrimination and calibration over weeks no model had seen, all seeds together."""
    from analytics_assets.insights.returns.model import ECE_LIMIT, score

    said, baseline, outcome, chosen = foretold(seeds)
    ours, plain = score(said, outcome), score(baseline, outcome)
    note = f"{len(outcome):,} user-weeks of {len(seeds)} companies of {USERS}; used: " + ", ".join(
        f"{name} {times}" for name, times in sorted(chosen.items())
    )
    return [
        Measure("return AUC less the baseline's", ours.auc - plain.auc, -AUC_ALLOWANCE, note=note),
        Measure("return calibration error", ours.ece, ECE_LIMIT, "lower", "ten bins"),
        Measure("return AUC", ours.auc, None, note=f"baseline {plain.auc:.3f}"),
        Measure("return squared error", ours.brier, None, "lower", f"baseline {plain.brier:.4f}"),
    ]


def foretold(seeds: Sequence[int]) -> tuple[Floats, Floats, Floats, dict[str, int]]:
    """Probabilities given week by week, the baseline's, what came true, and the models used."""
    import numpy as np

    from analytics_assets.insights.returns import model

    said: list[float] = []
    plain: list[Floats] = []
    outcome: list[Floats] = []
    chosen: dict[str, int] = defaultdict(int)
    for seed in seeds:
        weeks = company_weeks(seed)
        rows, with_data = examples(weeks), weeks_with_data(weeks)
        asked = list(range(2, WEEKS))
        alone = _baseline(rows, with_data, asked)
        for verdict in model.verdicts(rows, asked, with_data):
            if verdict.why_none:
                continue
            here = np.array(verdict.rows)
            said += verdict.probability
            plain.append(alone[here])
            outcome.append(rows.returned[here])
            chosen[verdict.model] += 1
    return np.array(said), np.concatenate(plain), np.concatenate(outcome), dict(chosen)


def company_weeks(seed: int, users: int = USERS, weeks: int = WEEKS) -> UserWeeks:
    """What the people of a made-up company did in each week."""
    import numpy as np

    from analytics_assets.sources.sample.behaviour import Behaviour
    from analytics_assets.sources.sample.company import build_company
    from analytics_assets.sources.sample.conversations import ConversationWriter
    from analytics_assets.sources.sample.eventtypes import INDEX

    days = weeks * DAYS
    company = build_company(users, days, seed)
    behaviour = Behaviour(company, START, days, users * days * 4, seed)
    files = {name: io.StringIO() for name in ("conversation", "message", "service_job", "truth")}
    writer = ConversationWriter(company, START, days, seed, files)
    number_of = {user_id: number for number, user_id in enumerate(company.user_ids)}
    facts: dict[str, Floats] = {
        name: np.zeros((users, weeks)) for name in ("active_days", "results", "credit_limits")
    }
    facts["last_day"] = np.full((users, weeks), -1.0)
    results = [INDEX["download"], INDEX["share"]]
    for day in range(days):
        week, weekday = divmod(day, DAYS)
        drawn = behaviour.day(day)
        facts["active_days"][drawn.active, week] += 1
        facts["last_day"][drawn.active, week] = weekday
        for slab in behaviour.slabs(drawn):
            known = slab.user >= 0
            user, kind = slab.user[known], slab.type[known]
            facts["results"][:, week] += np.bincount(user[np.isin(kind, results)], minlength=users)
            limited = user[kind == INDEX["credit_limit"]]
            facts["credit_limits"][:, week] += np.bincount(limited, minlength=users)
        writer.write_day(day, drawn.active)
    for name in ("conversations", "turns", "jobs", "read", "stuck", "failed", "judged", "mood",
                 "wishes"):  # fmt: skip
        facts[name] = np.zeros((users, weeks))
    for job in _lines(files["service_job"]):
        facts["jobs"][number_of[job["user_id"]], _week(job["created_at"])] += 1
    _read(files["message"], facts, number_of)
    # Staff and bots are not predicted, nor those who have not agreed.
    kept = company.consent & ~company.internal
    return UserWeeks({name: grid[kept] for name, grid in facts.items()})


def _read(messages: io.StringIO, facts: dict[str, Floats], number_of: dict[str, int]) -> None:
    from analytics_assets.insights.conversations.facet_rules import facets_by_rules

    talks: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for message in _lines(messages):
        talks[message["conversation_id"]].append(message)
    speaker = {"user": "U", "assistant": "Assistant"}
    for said in talks.values():
        place = (number_of[said[0]["user_id"]], _week(said[0]["created_at"]))
        found = facets_by_rules(
            "\n".join(f"{speaker[m['role']]}: {m['content']}" for m in said if m["role"] in speaker)
        )
        facts["conversations"][place] += 1
        facts["turns"][place] += sum(m["role"] in speaker for m in said)
        facts["read"][place] += 1
        facts["stuck"][place] += found.friction != "none"
        facts["failed"][place] += found.outcome == "not_achieved"
        facts["judged"][place] += found.outcome != "unclear"
        facts["mood"][place] += found.sentiment - 3
        facts["wishes"][place] += found.feature_request != "none"


def _baseline(rows: Examples, with_data: Any, asked: Sequence[int]) -> Floats:
    """What recency and frequency say of the same weeks, calibrated the same way."""
    import numpy as np

    from analytics_assets.insights.returns import model

    alone = np.full(len(rows.week), np.nan)
    for verdict in model.verdicts(rows, asked, with_data, only=(model.BASE,)):
        if verdict.rows:
            alone[np.array(verdict.rows)] = verdict.probability
    return alone


def _lines(file: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.getvalue().splitlines()]


def _week(moment: str) -> int:
    return (date.fromisoformat(moment[:10]) - START).days // DAYS
