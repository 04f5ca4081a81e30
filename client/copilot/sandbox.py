"""What is done in a job's process between fork and exec: limits, an empty network, another user.

Nothing here may import, log or take a lock once `confine` was built: it runs in a child forked from a process that may
have threads.
"""

import ctypes
import os
import resource
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_CLONE_NEWNET: Final = 0x40000000
_CLONE_NEWIPC: Final = 0x08000000
_CLONE_NEWUTS: Final = 0x04000000
_PR_SET_NO_NEW_PRIVS: Final = 38
#: A job gives way to the agent, whose few milliseconds keep the session alive on a guest's only processor.
_NICE: Final = 10


@dataclass(frozen=True)
class Confinement:
    """How a job is held.

    Attributes:
        uid: user (and group) that it runs as; None for the agent's own, then without namespaces too.
        network: whether it may use the network.
        file_limit_bytes: largest file that it may write.
        memory_limit_mib: address space; 0 for no limit.
    """

    uid: int | None
    network: bool
    file_limit_bytes: int
    memory_limit_mib: int = 0
    process_limit: int = 1024


def confine(how: Confinement) -> Callable[[], None]:
    """The function to run in the child. It raises OSError when it cannot keep what was asked: then nothing is run."""
    libc = ctypes.CDLL(None, use_errno=True)
    unshare, prctl = libc.unshare, libc.prctl
    limits = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, how.file_limit_bytes)]
    if how.memory_limit_mib:
        limits.append((resource.RLIMIT_AS, how.memory_limit_mib * 1024 * 1024))
    if how.uid is not None:
        limits.append((resource.RLIMIT_NPROC, how.process_limit))
    # A small guest's own limit may be lower than ours, and a job's user may not raise it.
    limits = [(kind, _at_most(kind, value)) for kind, value in limits]
    spaces = _CLONE_NEWIPC | _CLONE_NEWUTS | (0 if how.network else _CLONE_NEWNET)

    def apply() -> None:
        _give_way()
        if how.uid is not None:
            if unshare(spaces) != 0:
                raise OSError(ctypes.get_errno(), "unshare")
            os.setgroups([])
            os.setresgid(how.uid, how.uid, how.uid)
            os.setresuid(how.uid, how.uid, how.uid)
        prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        for kind, value in limits:
            resource.setrlimit(kind, (value, value))
        os.umask(0o022)

    return apply


def _give_way() -> None:
    """To the agent: for the processor, and when the kernel looks for somebody to kill for want of memory."""
    os.nice(_NICE)
    wishes = [("/proc/self/oom_score_adj", b"1000")]
    if os.getsid(0) == os.getpid():
        # To the scheduler a session is a group, and the processor is shared among groups; others' are left alone.
        wishes.append(("/proc/self/autogroup", b"%d" % _NICE))
    for path, value in wishes:
        try:
            number = os.open(path, os.O_WRONLY)
        except OSError:
            # A kernel without that.
            continue
        try:
            os.write(number, value)
        except OSError:
            # Only so many changes a second, and only by who may: the job runs as well without.
            pass
        finally:
            os.close(number)


def _at_most(kind: int, value: int) -> int:
    hard = resource.getrlimit(kind)[1]
    return value if hard == resource.RLIM_INFINITY else min(value, hard)
