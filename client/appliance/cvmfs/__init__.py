"""The caching proxy for the guests' CVMFS traffic, as it runs in a process of its own (docs/cvmfs.md)."""
