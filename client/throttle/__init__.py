"""When guests may run, and how much of the computer they get."""
