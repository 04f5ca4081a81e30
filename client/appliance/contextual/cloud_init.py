"""What cloud-init reads: its configuration as user-data, and the meta-data of NoCloud and of a config drive."""

import json
from typing import Any, Final

from client.appliance.contextual import yaml
from client.appliance.contextual.language import File, Guest, System, User
from client.appliance.contextual.run_once import START, packed, start_program
from client.appliance.contextual.ucernvm import ucernvm_block

_SUDO: Final = "ALL=(ALL) NOPASSWD:ALL"
_CVMFS: Final = "/etc/cvmfs/default.local"


def user_data(guest: Guest) -> bytes:
    """A document of #cloud-config; for CernVM inside MIME, with the boot loader's block before the first part.

    What stands before the first part is nothing to a reader of MIME, and lines like all others to the boot loader.
    """
    document = cloud_config(guest)
    block = ucernvm_block(guest)
    if not block:
        return document
    edge = "context-part"
    head = f'Content-Type: multipart/mixed; boundary="{edge}"\nMIME-Version: 1.0\n\n'
    part = f'--{edge}\nContent-Type: text/cloud-config; charset="us-ascii"\nContent-Transfer-Encoding: 7bit\n\n'
    return head.encode() + block + part.encode() + document + f"\n--{edge}--\n".encode()


def cloud_config(guest: Guest) -> bytes:
    """#cloud-config. In CernVM amiconfig does the work, and this holds only what the template says for cloud-init."""
    if guest.system is System.CERNVM:
        # Else cloud-init would put a forced command before the key that amiconfig gives to root.
        return _document({"disable_root": False, **guest.extra})
    said: dict[str, Any] = _identity(guest)
    if guest.ssh_keys:
        said["ssh_authorized_keys"] = list(guest.ssh_keys)
    if guest.users:
        said["users"] = ["default", *(_user(user) for user in guest.users)]
    if guest.packages:
        said |= {"package_update": True, "packages": list(guest.packages)}
    program = start_program(guest)
    files = [*guest.files, *_cvmfs(guest)]
    if program:
        files.append(File(START, "0700", "", program))
    if files:
        said["write_files"] = [_file(file) for file in files]
    commands = [["systemctl", "enable", "--now", name] for name in guest.services]
    if program:
        commands.append(["/bin/sh", START])
    extra = dict(guest.extra)
    if commands:
        more = extra.pop("runcmd", [])
        said["runcmd"] = [*commands, *(more if isinstance(more, list) else [more])]
    return _document({**said, **extra})


def meta_data(guest: Guest, instance_id: str) -> bytes:
    """NoCloud's meta-data."""
    said = {"instance-id": instance_id}
    if guest.host_name:
        said["local-hostname"] = guest.host_name
    return f"{yaml.encode(said)}\n".encode()


def config_drive_meta_data(guest: Guest, instance_id: str) -> bytes:
    """openstack/latest/meta_data.json."""
    said: dict[str, Any] = {"uuid": instance_id, "name": guest.host_name or "guest"}
    if guest.host_name:
        said["hostname"] = guest.host_name
    if guest.ssh_keys:
        said["public_keys"] = {f"key-{number}": key for number, key in enumerate(guest.ssh_keys)}
    return f"{json.dumps(said, indent=1)}\n".encode()


def _document(said: dict[str, Any]) -> bytes:
    return f"#cloud-config\n{yaml.encode(said)}\n".encode()


def _identity(guest: Guest) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if guest.host_name:
        said |= {"preserve_hostname": False, "hostname": guest.host_name.partition(".")[0]}
        if "." in guest.host_name:
            said["fqdn"] = guest.host_name
    if guest.time_zone:
        said["timezone"] = guest.time_zone
    return said


def _user(user: User) -> dict[str, Any]:
    said: dict[str, Any] = {"name": user.name, "lock_passwd": not user.password_hash}
    if user.password_hash:
        said["passwd"] = user.password_hash
    if user.groups:
        said["groups"] = ",".join(user.groups)
    if user.ssh_keys:
        said["ssh_authorized_keys"] = list(user.ssh_keys)
    if user.is_administrator:
        said["sudo"] = _SUDO
    return said | {"shell": user.shell or "/bin/bash"}


def _file(file: File) -> dict[str, Any]:
    said: dict[str, Any] = {
        "path": file.path,
        "permissions": file.mode,
        "encoding": "b64",
        "content": packed(file.content),
    }
    if file.owner:
        # Accounts are made after the first files are written; a deferred one is written at the end.
        said |= {"owner": file.owner, "defer": True}
    return said


def _cvmfs(guest: Guest) -> list[File]:
    lines = [f'CVMFS_REPOSITORIES="{",".join(guest.repositories)}"\n'] if guest.repositories else []
    if guest.proxy or guest.repositories:
        lines.append(f'CVMFS_HTTP_PROXY="{guest.proxy or "DIRECT"}"\n')
    return [File(_CVMFS, "0644", "", "".join(lines))] if lines else []
