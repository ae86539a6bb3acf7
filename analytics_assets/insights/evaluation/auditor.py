"""Whether the auditor that needs no model tells texts that may be told of from the others.

Good texts were written by hand; each bad one is a good one with one thing added that could point at
somebody (Clio's recipe). A pair counts where the good text passes and the bad one does not.
"""

from __future__ import annotations

from collections.abc import Iterator

from analytics_assets.insights.evaluation.measure import Measure
from analytics_assets.insights.evaluation.world import World
from analytics_assets.insights.groups.gate import Leaks, audit_by_rules
from analytics_assets.insights.scrubbing.lexicon import Lexicon
from analytics_assets.insights.scrubbing.scrubber import Scrubber

RIGHT = 0.95
GOOD = (
    "connect external servers to the assistant",
    "loading large files into a database without running out of memory",
    "users want to export their results as spreadsheets",
    "debugging errors that only happen in production",
    "writing project briefs and job descriptions",
    "people who automate weekly reports",
    "tests that fail at random",
    "setting up sign-in with OAuth",
    "asking for a dark mode in the editor",
    "slow answers during busy hours",
    "users lose the context of long conversations",
    "comparing prices of hosting plans",
    "drawing retention charts from event data",
    "finding duplicate customers in a table",
    "questions about the limits of the free plan",
    "translating help pages into several languages",
    "planning milestones and budgets for small projects",
    "verifying webhook signatures in Python",
    "learning how containers work",
    "generating product descriptions in bulk",
    "repairing broken downloads",
    "cannot find the settings page",
    "share conversations with the team",
    "notifications when a job is done",
    "keeping older versions of generated files",
    "working without an internet connection",
    "uploading files above the size limit",
    "running the same prompt every week",
    "reviewing payment terms of contracts",
    "choosing a database for analytics",
    "memory of services grows until they are stopped",
    "reading long error traces",
    "building quick prototypes for demos",
    "summarising sign-ups by country",
    "alerts when conversion drops",
    "users are logged out again and again",
    "answers in the wrong programming language",
    "credits run out in the middle of the work",
    "migrating data from spreadsheets to PostgreSQL",
    "designing a simple home page",
    "recipes and shopping lists for the week",
    "help with homework in mathematics",
    "explaining scientific ideas in simple words",
    "installing drivers on Linux",
    "fixing boot problems after an upgrade",
    "configuring the firewall of a server",
    "choosing a bicycle for daily travel",
    "writing short stories and poems",
    "preparing for job interviews",
    "training plans for beginners",
    "Users connect tools to the product and check that data arrive.",
    "Users ask for a way to schedule tasks that repeat.",
    "People try to clean up data before they load it.",
    "Teams want to see results of each other in one shared place.",
    "Users compare several ways to solve a problem before they choose one.",
    "People describe an error and ask what causes it.",
    "Users draft documents for clients and improve their wording.",
    "Developers look for the reason why their tests are not stable.",
    "Users want charts that managers understand at a glance.",
    "People ask how to make slow queries faster.",
    "Users wish for larger uploads and clearer messages when one is refused.",
    "Many give up when an export comes back empty.",
    "Users set up pipelines that run every night and recover from failures.",
    "People ask about access rights and permissions of connected services.",
    "Users want the assistant to remember their preferences.",
    "Customers want clearer invoices and a history of payments.",
    "Users generate code and ask for examples they can run.",
    "People automate support answers with data of their own.",
    "Users explore a topic and ask follow-up questions.",
    "Users cannot find their way back to a project.",
    "Most of them want to publish packages automatically after all checks pass.",
    "They ask for integrations with GitHub and Slack.",
    "They work with CSV files and SQL queries.",
    "Users plan content for social media and newsletters.",
    "Users practise a foreign language with the assistant.",
    "People look for healthy food and simple exercises.",
    "Users monitor the cost of cloud services.",
    "Users rewrite old code in a modern framework.",
    "Users validate forms and handle wrong input.",
    "People ask for advice on structure and style of their texts.",
)
# What is added to make a text point at somebody; each takes the good text as {text}.
EDITS = (
    "{text} for Katharina Brandt",
    "{text} at Bluefjord",
    "{text} near Heidelberg",
    "{text}, reported by kbrandt42",
    "{text} (contact: k.brandt@bluefjord.example)",
    "{text}, as the user who runs the only seismology lab does",
    "{text}, asked by a developer from the night shift",
    "{text} since 14 March",
    '{text}: "please hurry, my boss is waiting"',
    "{text}, mentioned by her manager",
    "{text} in the haulage cadastre",
    "{text} for 3 customers",
)
KNOWN = (("name", "Katharina Brandt"), ("handle", "kbrandt42"), ("organisation", "Bluefjord"))
PAIRS_A_TEXT = 6


def measure(world: World) -> list[Measure]:  # noqa: ARG001 - as all modules
    """Pairs judged right, with the leak check in front as in production."""
    leaks = Leaks.of(Scrubber(Lexicon.of(KNOWN)), ())
    pairs = list(edited_pairs())
    right = [_passes(leaks, good) and not _passes(leaks, bad) for good, bad in pairs]
    missed = [_passes(leaks, bad) for _, bad in pairs]
    return [
        Measure("auditor by rules, pairs right", sum(right) / len(right), RIGHT,
                note=f"{len(pairs)} pairs"),
        Measure("auditor by rules, bad texts passed", sum(missed) / len(missed), 0.05, "lower"),
    ]  # fmt: skip


def edited_pairs() -> Iterator[tuple[str, str]]:
    """Good and bad, each good text with PAIRS_A_TEXT of the edits in turn."""
    for number, good in enumerate(GOOD):
        for turn in range(PAIRS_A_TEXT):
            edit = EDITS[(number + 2 * turn + turn // 6) % len(EDITS)]
            yield good, edit.format(text=good.rstrip("."))


def _passes(leaks: Leaks, text: str) -> bool:
    return leaks.found(text) is None and audit_by_rules(text).passes
