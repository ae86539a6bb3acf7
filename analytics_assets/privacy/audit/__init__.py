"""The audit: attacks on what was released, and judges that compare their guesses with the truth.

Attackers read what ``analytics_reader`` can read, the plan (which is public) and what they are
stated to know; only judges see the truth. Invariant: a figure that leaves this package is a rate or
a number of cells, never a count of people.
"""
