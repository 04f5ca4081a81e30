"""A load generator for Co-Pilot: thousands of agents that only talk, on raw sockets, in a process of their own."""
