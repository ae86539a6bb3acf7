"""Sentences as vectors, clusters of them, and the short-lived process that does the arithmetic."""
