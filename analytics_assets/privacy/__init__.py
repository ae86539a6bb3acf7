"""What keeps people unrecognisable in everything that leaves the platform."""
