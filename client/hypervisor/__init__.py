"""Drivers for hypervisors, behind one Protocol."""
