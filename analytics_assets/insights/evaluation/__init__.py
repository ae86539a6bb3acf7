"""How good the insights are, by figures over planted truth; one module for each group of measures.

Belongs here: generators of truth and what is measured over them. Does not: printing
(cli/insights.py). Invariant: deterministic, so that a figure changes only with the code.
"""
