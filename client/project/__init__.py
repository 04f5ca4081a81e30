"""What a volunteer attaches to: the project's definition."""
