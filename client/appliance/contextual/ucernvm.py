"""The block of uCernVM's boot loader: lines that become shell variables in its first file system.

Exact markers alone on their lines, LF only, no blanks around `=`, each line ended; values in double quotes, except the
words on and off, which the loader itself makes 1 and 0.
"""

from client.appliance.contextual.language import Guest


def ucernvm_block(guest: Guest) -> bytes:
    """The whole block; empty when there is nothing to say."""
    block = dict(guest.block)
    if guest.proxy:
        block.setdefault("cvmfs_http_proxy", guest.proxy)
    if not block:
        return b""
    lines = [f"{key}={_value(said)}\n" for key, said in block.items()]
    return "".join(["[ucernvm-begin]\n", *lines, "[ucernvm-end]\n"]).encode("ascii")


def _value(said: str | bool) -> str:
    if isinstance(said, bool):
        return "on" if said else "off"
    return f'"{said}"'
