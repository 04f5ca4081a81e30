"""The files of a context medium: one tree that the boot loader, amiconfig and cloud-init each find their part in."""

from enum import StrEnum

from client.appliance.contextual.amiconfig import amiconfig_user_data, ec2_meta_data
from client.appliance.contextual.cloud_init import config_drive_meta_data, meta_data, user_data
from client.appliance.contextual.hepix import hepix_files
from client.appliance.contextual.language import Guest, System


class Medium(StrEnum):
    """How the medium presents itself; the value is its volume label."""

    #: all readers find it: cloud-init by this label, the boot loader and amiconfig by its files
    CONFIG_DRIVE = "config-2"
    #: the same files under the label that cloud-init's NoCloud looks for
    NOCLOUD = "cidata"
    #: context.sh, for CernVM 2 and sites with HEPiX's scripts; cloud-init finds no user-data there
    HEPIX = "CONTEXT"


def medium_files(guest: Guest, instance_id: str, medium: Medium = Medium.CONFIG_DRIVE) -> dict[str, bytes]:
    """Path -> bytes of all files of the medium."""
    if medium is Medium.HEPIX:
        return hepix_files(guest, instance_id)
    said = user_data(guest)
    files = {
        "openstack/latest/user_data": said,
        "openstack/latest/meta_data.json": config_drive_meta_data(guest, instance_id),
        "user-data": said,
        "meta-data": meta_data(guest, instance_id),
    }
    if guest.system is System.CERNVM:
        files["ec2/latest/user-data"] = amiconfig_user_data(guest, instance_id)
        files["ec2/latest/meta-data.json"] = ec2_meta_data(guest, instance_id)
    return files
