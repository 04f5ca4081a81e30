"""The rootless builder of the thin appliance."""
