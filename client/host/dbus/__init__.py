"""The buses of a Linux desktop, and the services on them that know something of the computer."""
