"""Real loopback servers that stand for the outside world in tests."""
