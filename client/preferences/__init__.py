"""What the volunteer set: one table, its file, its layers."""
