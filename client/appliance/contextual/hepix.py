"""HEPiX context files, as OpenNebula gives them: another way to the same user-data, never beside a config drive.

A guest that finds `context.sh` looks no further, so amiconfig would not see what a config drive holds.
"""

from client.appliance.contextual.amiconfig import amiconfig_user_data
from client.appliance.contextual.language import Guest
from client.appliance.contextual.run_once import packed


def hepix_files(guest: Guest, instance_id: str) -> dict[str, bytes]:
    """Name -> bytes. context.sh is read by a shell: its values are base64 and fixed words."""
    text = packed(amiconfig_user_data(guest, instance_id).decode())
    lines = [f'EC2_USER_DATA="{text}"\n', 'ONE_CONTEXT_PATH="/var/lib/amiconfig"\n']
    files = {"prolog.sh": b""}
    if guest.ssh_keys:
        lines.append('ROOT_PUBKEY="root.pub"\n')
        files["root.pub"] = "".join(f"{key}\n" for key in guest.ssh_keys).encode("ascii")
    return {"context.sh": "".join(lines).encode("ascii"), **files}
