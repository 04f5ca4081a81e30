"""Faces without a screen: headless run, control of a running instance, a local site."""
