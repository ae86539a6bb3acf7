"""Evaluation against planted truth: one module for each group of measures.

A module of ``MODULES`` in report.py has ``measure(world) -> list[Measure]`` and needs no server.
"""
