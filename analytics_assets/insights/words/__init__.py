"""Lists of words, a module for each question that is asked of a word; they overlap.

``ordinary``: is it a word as well as a name (masked only where it is written like a name)?
``plain``: may an answer about one user hold it? ``technologies``: is it a product, whatever its
case? ``of_groups``: may a sentence about a group hold it without an auditor? The last is the
strictest: no roles, no companies, technologies only as they are spelled.
"""
