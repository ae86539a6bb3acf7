"""What conversations say, read by a model from scrubbed text, and the summary people get.

The way through the house, each room using only those before it: ``words``, ``scrubbing``,
``providers``, ``vectors``, ``asking`` (questions put once, within a budget), ``conversations``,
``users``, ``groups``, ``returns``, ``answers``, ``summary``, and ``evaluation``, which holds all of
it against a planted truth. What every room may use stands beside them. Does not: Dagster, reading
the environment. Invariant: nothing leaves for a model unscrubbed or unconsented.
"""
