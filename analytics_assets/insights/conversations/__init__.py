"""What each consenting user's conversations of a day were about: selection, tiers, facets."""
