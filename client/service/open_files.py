"""How many files, and so connections, this program and what it starts may have open."""

import contextlib
import sys


def raise_limit() -> None:
    """As many as the system allows: a shell gives 1024, and each agent takes one of the XMPP server's."""
    if sys.platform == "win32":
        return
    # Not there on Windows.
    import resource

    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
