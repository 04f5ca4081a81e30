"""Co-Pilot: the agent in the guest, the managers, and the wire between them."""
