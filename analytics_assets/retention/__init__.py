"""Retention: how long rows about people are kept, and the pruning that ends their time."""
