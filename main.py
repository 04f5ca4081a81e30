"""Volunteer Cloud: one entry for every face and every role."""
