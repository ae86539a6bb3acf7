"""Vendors of models behind one protocol, what they cost and how fast they may be asked."""
