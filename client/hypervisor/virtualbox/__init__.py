"""VirtualBox, driven by its command VBoxManage."""
