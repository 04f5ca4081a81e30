"""The window, the tray and what they draw: views of a snapshot, senders of commands."""
