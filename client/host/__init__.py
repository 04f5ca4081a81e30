"""The computer that this runs on."""
