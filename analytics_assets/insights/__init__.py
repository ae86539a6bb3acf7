"""What conversations say, read by a model from scrubbed text, and the summary people get.

The way through the house: ``scrubbing`` (with ``words``) masks, ``conversations`` chooses and
reads, ``asking`` puts questions to one of the ``providers``, ``users`` judges a user's day,
``vectors`` and ``groups`` tell what many have in common, ``returns`` foretells, ``answers`` and
``summary`` say what came out, ``evaluation`` holds all of it against a planted truth. Does not:
Dagster, reading the environment. Invariant: nothing leaves for a model unscrubbed or unconsented.
"""
