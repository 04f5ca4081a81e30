"""Volunteer Cloud without a screen: everything that works headless. Never imports PySide6 or ui."""

__version__ = "0.1.0"
