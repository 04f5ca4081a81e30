"""The contract test on the real VirtualBox: the same tests, with this folder's kit."""

from tests.integration.hypervisor.test_contract_live import *  # noqa: F403
