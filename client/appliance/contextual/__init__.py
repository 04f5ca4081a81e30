"""Contextualization: templates that people fill in, rendered for each reader in a guest (docs/contextualization.md)."""
