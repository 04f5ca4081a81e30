"""Wayland, spoken to directly: what its compositors tell of idle time."""
