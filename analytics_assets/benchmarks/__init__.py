"""How fast the platform is, as ratios to plain SQL measured in the same run."""
