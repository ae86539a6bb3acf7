"""Events: the catalogue of their types, and what a valid one is."""
