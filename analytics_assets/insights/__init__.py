"""What conversations say, read by a model from scrubbed text, and the summary people get.

Belongs here: scrubbing, prompts, providers, the analysis of a window, the daily summary. Does not:
Dagster, reading the environment. Invariant: nothing leaves for a model unscrubbed or unconsented.
"""
