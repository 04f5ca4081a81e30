"""Which keys the readers in a guest know."""

from typing import Final

#: of amiconfig's section [cernvm], beside those which [guest] says
CERNVM_KEYS: Final = (
    "auto_login",
    "contextualization_command",
    "contextualization_key",
    "desktop_icons",
    "edition",
    "entitlement_key",
    "environment",
    "eos-readaheadsize",
    "eos-readcachesize",
    "eos-server",
    "eos-user",
    "eos-x509-cert",
    "extra_repositories",
    "gridUiVersion",
    "group_profile",
    "keyboard",
    "screenRes",
    "shell",
    "startXDM",
    "swap_size",
    "x509-cert",
    "x509-cert-file",
    "x509-user",
)
#: of the boot loader of uCernVM: on or off
BLOCK_SWITCHES: Final = ("resize_rootfs", "useglideinWMS", "use_boothd")
#: all that it knows
BLOCK_KEYS: Final = (
    *BLOCK_SWITCHES,
    *[
        "cernvm_inject",
        "cernvm_path",
        "cvm_cluster_master",
        "cvm_cluster_pin",
        "cvm_service_url",
        "cvmfs_branch",
        "cvmfs_cdn",
    ],
    *["cvmfs_http_proxy", "cvmfs_pac_urls", "cvmfs_server", "cvmfs_tag", "cvmfs_wait_on_squid"],
)
#: sections of amiconfig that have tables of their own in a template, or none
OWN_SECTIONS: Final = frozenset({"amiconfig", "cernvm", "hostname", "ucernvm-begin", "ucernvm-end"})
#: of cloud-init: what [guest], [[user]] and [[file]] say, and what would change how they are merged
OWN_CLOUD_KEYS: Final = (
    "fqdn",
    "hostname",
    "packages",
    "ssh_authorized_keys",
    "timezone",
    "users",
    "write_files",
    "disable_root",
    "merge_how",
    "merge_type",
)
#: lists of commands: a list of words is quoted by cloud-init, a text is given to a shell as it is
COMMANDS: Final = ("bootcmd", "runcmd")
