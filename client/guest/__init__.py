"""The host end of what a guest says and may reach."""
