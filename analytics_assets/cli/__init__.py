"""The operator's command line, one module per command group.

Belongs here: arguments, progress, tables, exit codes. Does not: work that a Dagster run or a test
could need too. Invariant: exit code 0 means done, 1 means refused or failed with a reason, 2 means
wrongly called.
"""
