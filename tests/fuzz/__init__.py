"""Coverage-guided fuzzing of everything that a hostile peer can send: `python -m tests.fuzz TARGET -runs=N`."""
