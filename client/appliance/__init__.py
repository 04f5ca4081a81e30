"""Thin appliances: fetched, verified, cached, contextualized."""
