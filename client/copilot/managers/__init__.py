"""The science side's ends: job manager, storage manager, key manager."""
