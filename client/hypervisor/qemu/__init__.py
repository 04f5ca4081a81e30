"""The QEMU driver: the embedded default."""
