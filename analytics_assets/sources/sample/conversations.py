"""Conversations with the assistant and the jobs it runs, with everything planted in them.

Belongs here: dialogues from templates, service jobs, and the truth about both. Does not: platform
events. Invariant: their number follows the active users, not the number of events; every planted
identifier, request and friction of a conversation stands in its truth line, verbatim.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, TextIO

import numpy as np

from analytics_assets.sources.sample import templates as say
from analytics_assets.sources.sample import vocabulary as words
from analytics_assets.sources.sample.company import DAY_MS, PERSONAS, Company
from analytics_assets.sources.sample.draws import CONVERSATIONS, JOBS, Dice, Ints, stream

IDENTIFIER_SHARE: Final = 0.35
REQUEST_SHARE: Final = 0.22
FRICTION_SHARE: Final = 0.16
FRICTION_SHARE_BEFORE_LEAVING: Final = 0.62
INJECTION_SHARE: Final = 0.01
JOBS_PER_ACTIVE_USER: Final = 0.3
LEAVING_DAYS: Final = 10
JOB_TYPES: Final = ("package_build", "profile_analysis", "code_review", "deployment", "index_sync")
_KEY_ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789"
_IDENTIFIERS: Final = tuple(say.IDENTIFIER_SENTENCES)
_IDENTIFIER_WEIGHTS: Final = (5.0, 3.0, 4.0, 3.0, 2.0, 2.0, 2.0, 3.0)


@dataclass
class ConversationTruth:
    """Totals of what was planted; ``people`` holds one set of users per label."""

    conversations: Counter[str] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    jobs: Counter[str] = field(default_factory=Counter)
    labels: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    people: dict[str, dict[str, set[int]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(set))
    )

    def label(self, kind: str, value: str | None, user: int) -> None:
        """Count a planted label of a conversation and the person behind it."""
        if value is not None:
            self.labels[kind][value] += 1
            self.people[kind][value].add(user)

    def as_json(self) -> dict[str, Any]:
        """Rows by day, and per label the conversations and the distinct people."""
        return {
            "conversations_by_day": dict(self.conversations),
            "messages_by_day": dict(self.messages),
            "service_jobs_by_day": dict(self.jobs),
            "planted": {
                kind: {
                    value: {"conversations": count, "users": len(self.people[kind][value])}
                    for value, count in sorted(counts.items())
                }
                for kind, counts in sorted(self.labels.items())
            },
        }


@dataclass
class _Dialogue:
    """A conversation while it is being written; ``planted`` is (kind, value, message number)."""

    user: int
    lines: list[tuple[str, str, str | None]] = field(default_factory=list)
    planted: list[tuple[str, str, int]] = field(default_factory=list)

    def add(self, role: str, text: str, tool: str | None = None) -> None:
        self.lines.append((role, text, tool))


class ConversationWriter:
    """Writes the conversations, messages and jobs of one day after the other."""

    def __init__(
        self,
        company: Company,
        start_day: date,
        days: int,
        seed: int,
        files: Mapping[str, TextIO],
    ) -> None:
        """``files``: open text files for conversation, message, service_job and truth."""
        self._company = company
        self._midnight = datetime(start_day.year, start_day.month, start_day.day, tzinfo=UTC)
        self._days = days
        self._seed = seed
        self._files = files
        self._count = 0
        self._job_count = 0
        self._teams: list[list[int]] = [
            np.flatnonzero(company.organisation == number).tolist()
            for number in range(len(words.ORGANISATIONS))
        ]
        self.truth = ConversationTruth()

    def write_day(self, day: int, active: Ints) -> None:
        """The day's conversations of its active users, then their jobs."""
        company = self._company
        dice = Dice(stream(self._seed, CONVERSATIONS, day))
        ids: dict[int, str] = {}
        rates = company.talkativeness[active].tolist()
        for user, rate in zip(active.tolist(), rates, strict=True):
            if dice.chance(rate):
                ids[user] = self._conversation(day, user, dice)
        self._jobs(day, active, ids)

    def _conversation(self, day: int, user: int, dice: Dice) -> str:
        company = self._company
        persona = PERSONAS[int(company.persona[user])]
        voice = say.VOICES[persona]
        name = dice.choose_weighted(tuple(voice.topics), tuple(voice.topics.values()))
        topic = dice.choose([one for one in say.TOPICS if one.topic == name])
        leaving = self._leaves_soon(day, user)
        trouble = FRICTION_SHARE_BEFORE_LEAVING if leaving else FRICTION_SHARE
        friction = (
            dice.choose_weighted(tuple(say.FRICTIONS), say.FRICTION_WEIGHTS)
            if dice.chance(trouble)
            else None
        )
        request = (
            dice.choose_weighted(tuple(say.FEATURE_REQUESTS), say.REQUEST_WEIGHTS)
            if dice.chance(REQUEST_SHARE)
            else None
        )
        injected = dice.chance(INJECTION_SHARE)
        solved = dice.chance(0.3 if friction else 0.85)
        slots = {
            "tech": dice.choose(words.TECHNOLOGIES),
            "lang": words.LANGUAGES[int(company.language[user])],
        }
        dialogue = _Dialogue(user)
        self._open(dialogue, topic, voice, slots, dice)
        rounds = 1 + min(int(-np.log(1 - dice.uniform()) * voice.rounds), 14)
        for number in range(rounds):
            asked = [dice.choose(say.FOLLOW_UPS)] if number else []
            if number == rounds // 2 and friction is not None:
                asked.append(dice.choose(say.FRICTIONS[friction]))
            if number == rounds - 1 and request is not None:
                asked.append(dice.choose(say.FEATURE_REQUESTS[request]))
            if number == rounds - 1 and injected:
                asked.append(dice.choose(say.INJECTIONS))
            if asked:
                dialogue.add("user", " ".join(asked).format(**slots))
            if dice.chance(voice.tool_share):
                rows = dice.below(5_000)
                dialogue.add("tool", f'{{"status":"ok","rows":{rows}}}', topic.tool)
            reply = dice.choose(say.ELABORATIONS) if number else topic.answer
            dialogue.add("assistant", reply.format(**slots))
        if solved:
            dialogue.add("user", dice.choose(say.THANKS))
        elif dice.chance(0.6):
            dialogue.add("user", dice.choose(say.GIVING_UP))
        labels = {
            "persona": persona,
            "topic": topic.topic,
            "subtopic": topic.subtopic,
            "feature_request": request,
            "friction": friction,
            "outcome": "solved" if solved else "abandoned",
            "injection": "yes" if injected else None,
            "leaving": "yes" if leaving else None,
        }
        return self._write(day, dialogue, voice, labels, dice)

    def _leaves_soon(self, day: int, user: int) -> bool:
        company = self._company
        for absent in (int(company.churn_day[user]), int(company.gap_start[user])):
            if day < absent < self._days and absent - day <= LEAVING_DAYS:
                return True
        return False

    def _open(
        self,
        dialogue: _Dialogue,
        topic: say.Topic,
        voice: say.Voice,
        slots: dict[str, str],
        dice: Dice,
    ) -> None:
        """The first message: the task, an aside of the persona, and personal data in some."""
        parts = [dice.choose(topic.openings).format(**slots)]
        if dice.chance(0.7):
            parts.append(dice.choose(voice.asides))
        if dice.chance(IDENTIFIER_SHARE):
            for _ in range(1 + dice.below(3)):
                kind = dice.choose_weighted(_IDENTIFIERS, _IDENTIFIER_WEIGHTS)
                value = self._identifier(kind, dialogue.user, dice)
                parts.append(dice.choose(say.IDENTIFIER_SENTENCES[kind]).format(value=value))
                dialogue.planted.append((kind, value, 0))
        dialogue.add("user", " ".join(parts))

    def _identifier(self, kind: str, user: int, dice: Dice) -> str:  # noqa: PLR0911 (one per kind)
        company = self._company
        handle = company.handles[user]
        match kind:
            case "name":
                return company.names[user]
            case "teammate":
                return company.names[dice.choose(self._teams[int(company.organisation[user])])]
            case "email":
                return company.emails[user]
            case "handle":
                return handle
            case "phone":
                pattern = words.PHONE_PATTERNS[company.locales[user]]
                return "".join(str(dice.below(10)) if sign == "#" else sign for sign in pattern)
            case "api_key":
                return "sk-" + "".join(dice.choose(_KEY_ALPHABET) for _ in range(40))
            case "ip_address":
                network = dice.choose(("203.0.113", "198.51.100", "192.0.2"))
                return f"{network}.{1 + dice.below(254)}"
            case _:
                folder = words.ORGANISATIONS[int(company.organisation[user])]
                return dice.choose(
                    (
                        f"/home/{handle}/work/{folder}/settings.py",
                        f"/Users/{handle}/Documents/{folder}/report.csv",
                        f"C:\\Users\\{handle}\\{folder}\\config.yaml",
                    )
                )

    def _write(
        self,
        day: int,
        dialogue: _Dialogue,
        voice: say.Voice,
        labels: dict[str, str | None],
        dice: Dice,
    ) -> str:
        company = self._company
        user = dialogue.user
        number, self._count = self._count, self._count + 1
        conversation = f"cnv_{number:08d}"
        at_ms = _office_hour(company, user, day, dice)
        started = at_ms
        message_ids = []
        for position, (role, text, tool) in enumerate(dialogue.lines):
            message_ids.append(f"msg_{number:08d}_{position:03d}")
            _dump(self._files["message"], {
                "message_id": message_ids[-1],
                "conversation_id": conversation,
                "user_id": company.user_ids[user],
                "role": role,
                "content": text,
                "tool_name": tool,
                "created_at": self._time(day, at_ms),
            })  # fmt: skip
            ended = at_ms
            at_ms += (25_000 if role == "user" else 4_000) + dice.below(120_000)
        date_text = self._time(day, 0)[:10]
        _dump(self._files["conversation"], {
            "conversation_id": conversation,
            "user_id": company.user_ids[user],
            "started_at": self._time(day, started),
            "ended_at": self._time(day, ended),
            "title": str(labels["subtopic"]).replace("_", " ") if dice.chance(0.9) else None,
            "channel": voice.channel if dice.chance(0.8) else "web",
        })  # fmt: skip
        for kind, value in labels.items():
            self.truth.label(kind, value, user)
        for kind, _, _ in dialogue.planted:
            self.truth.label("identifier", kind, user)
        _dump(self._files["truth"], {
            "conversation_id": conversation,
            "user_id": company.user_ids[user],
            "day": date_text,
            **labels,
            "injection": labels["injection"] is not None,
            "leaving": labels["leaving"] is not None,
            "messages": len(dialogue.lines),
            "identifiers": [
                {"kind": kind, "value": value, "message_id": message_ids[position]}
                for kind, value, position in dialogue.planted
            ],
        })  # fmt: skip
        self.truth.conversations[date_text] += 1
        self.truth.messages[date_text] += len(dialogue.lines)
        return conversation

    def _jobs(self, day: int, active: Ints, conversations: dict[int, str]) -> None:
        """Jobs of the day; on the last day some have not finished."""
        company = self._company
        rng = stream(self._seed, JOBS, day)
        dice = Dice(rng)
        date_text = self._time(day, 0)[:10]
        count = round(JOBS_PER_ACTIVE_USER * len(active))
        for place in rng.integers(0, max(len(active), 1), count).tolist():
            user = int(active[place])
            kind = dice.choose_weighted(JOB_TYPES, (4.0, 3.0, 2.0, 1.5, 1.0))
            status = dice.choose_weighted(("succeeded", "failed", "cancelled"), (90.0, 7.0, 3.0))
            created = _office_hour(company, user, day, dice)
            finished: int | None = created + 2_000 + dice.below(1_500_000)
            if day == self._days - 1 and dice.chance(0.1):
                status, finished = dice.choose(("pending", "running")), None
            _dump(self._files["service_job"], {
                "job_id": f"job_{self._job_count:08d}",
                "user_id": company.user_ids[user],
                "conversation_id": conversations.get(user) if dice.chance(0.6) else None,
                "job_type": kind,
                "status": status,
                "created_at": self._time(day, created),
                "finished_at": None if finished is None else self._time(day, finished),
                "credits": None if finished is None else (1 + dice.below(40)) / 4,
            })  # fmt: skip
            self._job_count += 1
            self.truth.jobs[date_text] += 1

    def _time(self, day: int, at_ms: int) -> str:
        moment = self._midnight + timedelta(days=day, milliseconds=at_ms)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _office_hour(company: Company, user: int, day: int, dice: Dice) -> int:
    """A time of the user's working day, after the sign-up and early enough to end by midnight."""
    offset = words.CITIES[int(company.city[user])].utc_offset
    hour = (9 + int((dice.uniform() + dice.uniform()) * 4.5) - offset) % 24
    drawn = hour * 3_600_000 + dice.below(3_600_000)
    earliest = int(company.signup_ms[user]) - day * DAY_MS
    return max(min(drawn, DAY_MS - 3 * 3_600_000), earliest, 0)


def _dump(file: TextIO, row: dict[str, Any]) -> None:
    file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")))
    file.write("\n")
