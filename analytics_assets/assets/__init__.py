"""Every asset, one module per stage, in the order data flows through them.

Belongs here: asset specs and bodies of a few lines. Does not: domain logic, SQL. Invariant: a body
takes its window, makes one domain call and reports small facts that name nobody.
"""
