"""QEMU as the embedded hypervisor."""
