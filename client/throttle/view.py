"""The policy's decision as the snapshot shows it."""

from client.snapshot import PolicyView
from client.throttle.decision import Decision


def policy_view(
    decision: Decision, *, used_percent: float | None = None, means: str = "", pace: str = ""
) -> PolicyView:
    """It as shown.

    Args:
        used_percent: what guests use, of one processor; None until measured.
        means: how the limit is kept.
        pace: why guests are slower than they could be; empty when they are not.
    """
    return PolicyView(
        rung=decision.rung.name.lower(),
        cpu_percent=decision.cpu_percent,
        used_percent=used_percent,
        cpus=decision.cpus,
        memory_mib=decision.memory_mib,
        means=means,
        transfers=decision.transfers,
        reason=decision.reason,
        transfers_reason=decision.transfers_reason,
        changes_at=decision.changes_at,
        rules=decision.findings,
        transfer_rules=decision.transfer_findings,
        pace=pace,
    )
