"""The X Window System, spoken to directly: no library, no thread, no call that can hang."""
