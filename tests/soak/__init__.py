"""Long tests; only `make soak` runs them."""
