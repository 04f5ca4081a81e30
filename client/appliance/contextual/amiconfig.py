"""What amiconfig of CernVM 3 and 4 reads: a script, sections of keys, the boot loader's block; and its meta-data.

It is read by Python 2's ConfigParser, line by line, and its values are written into files that a shell reads.
"""

import json
from collections.abc import Mapping
from typing import Any

from client.appliance.contextual.language import Guest
from client.appliance.contextual.run_once import outer_script, start_program
from client.appliance.contextual.ucernvm import ucernvm_block


def amiconfig_user_data(guest: Guest, instance_id: str) -> bytes:
    """The script first, then the sections, the block last."""
    program = start_program(guest)
    parts = [outer_script(program, instance_id)] if program else []
    parts += [_section(name, keys) for name, keys in _sections(guest).items()]
    return "".join(parts).encode("ascii") + ucernvm_block(guest)


def ec2_meta_data(guest: Guest, instance_id: str) -> bytes:
    """ec2/latest/meta-data.json, without which amiconfig takes no notice of the medium. The first key is root's."""
    said: dict[str, Any] = {"uuid": instance_id, "instance-id": instance_id}
    if guest.host_name:
        said["local-hostname"] = guest.host_name
    if guest.ssh_keys:
        # The plugin appends this text to root's authorized_keys as it is: all keys, each line ended.
        said["public-keys"] = {"0": {"openssh-key": "".join(f"{key}\n" for key in guest.ssh_keys)}}
    return f"{json.dumps(said, indent=1)}\n".encode()


def _sections(guest: Guest) -> dict[str, Mapping[str, str]]:
    plugins = ["cernvm", *(["hostname"] if guest.host_name else []), *guest.plugins]
    sections: dict[str, Mapping[str, str]] = {"amiconfig": {"plugins": " ".join(plugins)}, "cernvm": _cernvm(guest)}
    if guest.host_name:
        sections["hostname"] = {"hostname": guest.host_name}
    return sections | dict(guest.plugins)


def _cernvm(guest: Guest) -> dict[str, str]:
    lists = {"organisations": guest.organisations, "repositories": guest.repositories, "services": guest.services}
    said = {key: ",".join(words) for key, words in lists.items() if words}
    if guest.users:
        groups = {user.name: user.groups[0] if user.groups else user.name for user in guest.users}
        said["users"] = ",".join(f"{user.name}:{groups[user.name]}:{user.password_hash}" for user in guest.users)
        said["shell"] = guest.users[0].shell or "/bin/bash"
    if guest.proxy:
        # The plugin writes this into a file that a shell reads: without quotes what follows a semicolon would be run.
        said["proxy"] = f'"{guest.proxy}"'
    return said | dict(guest.cernvm)


def _section(name: str, keys: Mapping[str, str]) -> str:
    return "".join([f"[{name}]\n", *(f"{key}={said}\n" for key, said in keys.items())])
