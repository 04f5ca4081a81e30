"""A whole site and its agents, killed at random while they work."""
