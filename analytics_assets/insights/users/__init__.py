"""How each consenting user fared on a day, by the facets of their conversations."""
