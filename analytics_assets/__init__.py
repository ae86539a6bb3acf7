"""The analytics platform: one package, one room per concern (see docs/ for the map)."""
