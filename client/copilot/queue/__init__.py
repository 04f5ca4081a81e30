"""Job queues in which no job can be lost."""
