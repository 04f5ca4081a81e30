"""The monitor: what managers tell it, what it keeps, and how it shows that (Graphite, Prometheus, a page)."""
