#!/usr/bin/env bash
# Sets up a real VirtualBox for the tests, also on machines without its kernel module; docs/testing-virtualbox.md.
# It prints the folder whose `bin` holds `VBoxManage`. A finished set-up is used again and may be shared by several
# checkouts: VIRTUALBOX_LANE names the folder, default ~/.cache/volunteer-cloud/virtualbox-7.
# Exit code 75: it cannot be had here and now; what it prints is then the reason, in one line.
# Nothing is ever mounted where others see it: all mounts live in namespaces that end with their processes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
home=${VIRTUALBOX_LANE:-${XDG_CACHE_HOME:-$HOME/.cache}/volunteer-cloud/virtualbox-7}
root=$home/root
sources=$top/tests/virtualbox
suite=sid
# virtualbox-source in place of dkms: there is no kernel module to be built. The stand-alone sysusers in place of systemd.
packages=(virtualbox virtualbox-source systemd-standalone-sysusers python3 gcc libc6-dev)

say() { printf 'virtualbox: %s\n' "$*" >&2; }

cannot() { printf '%s\n' "$*"; exit 75; }

find_mirror() {
    for address in $(cd "$top" && python3 -c '
from packaging.appliance.sources import read_sources
print(*sorted(read_sources()[0]))'); do
        case $address in http://* | https://*) return ;; esac
    done
    cannot "this machine knows no archive of Debian packages"
}

check_machine() {
    local name
    [ "$(id -u)" = 0 ] || cannot "it needs root, for debootstrap and mount namespaces"
    [ "$(uname -m)" = x86_64 ] || cannot "it needs an x86-64 computer"
    for name in bin lib lib64; do
        [ "$(readlink -f "/$name")" = "/usr/$name" ] || cannot "/$name is no link into /usr on this system"
    done
    for name in debootstrap unshare flock; do
        command -v "$name" >/dev/null || cannot "$name is not installed: packaging/linux/setup.sh virtualbox-lane"
    done
}

# Only below our own folder, only while nothing is mounted there, and never across a mount.
remove() {
    [ -e "$1" ] || return 0
    case $1 in "$home"/*) ;; *) cannot "$1 is not ours to remove" ;; esac
    ! grep -qF " $1" /proc/self/mounts || cannot "something is mounted below $1"
    rm -rf --one-file-system -- "$1"
}

# Runs in a mount namespace of its own; what it mounts goes away with it.
install_packages() {
    local folder=$1 address=$2 name
    debootstrap --variant=minbase --components=main,contrib "$suite" "$folder" "$address"
    for name in proc sys dev; do mount --rbind "/$name" "$folder/$name"; done
    printf '#!/bin/sh\nexit 101\n' >"$folder/usr/sbin/policy-rc.d"
    chmod 755 "$folder/usr/sbin/policy-rc.d"
    export DEBIAN_FRONTEND=noninteractive LC_ALL=C
    # A frozen copy of the archive may be past the date up to which its list is valid.
    chroot "$folder" apt-get -q -o Acquire::Check-Valid-Until=false -o Acquire::Retries=3 update
    chroot "$folder" apt-get -q -y -o Acquire::Retries=3 install --no-install-recommends "${packages[@]}"
    chroot "$folder" apt-get -q clean
    cp "$folder/usr/lib/virtualbox/VBoxHeadless" "$folder/usr/lib/virtualbox/VBoxHeadless.stock"
}

make_root() {
    local wanted="$suite ${packages[*]}" fresh=$home/root.new address=
    [ "$(cat "$root/packages.stamp" 2>/dev/null)" = "$wanted" ] && return 0
    find_mirror
    say "installing VirtualBox into $root (about 1.2 GB, some minutes)"
    remove "$fresh"
    mkdir -p "$fresh"
    unshare --mount --propagation private "$0" install-packages "$fresh" "$address" >"$home/install.log" 2>&1 || {
        tail -n 5 "$home/install.log" >&2
        cannot "its packages could not be installed; the whole log is $home/install.log"
    }
    printf '%s\n' "$wanted" >"$fresh/packages.stamp"
    remove "$root"
    mv "$fresh" "$root"
}

# The two programs of ours, by renaming: an older one may be running.
make_programs() {
    local wanted folder=$root/usr/lib/virtualbox
    wanted=$(cat "$sources/driverless.c" "$sources/enter.c" "$root/packages.stamp" | sha256sum)
    [ "$(cat "$home/programs.stamp" 2>/dev/null)" = "$wanted" ] && return 0
    mkdir -p "$home/bin" "$root/build"
    cp "$sources/driverless.c" "$sources/enter.c" "$root/build/"
    chroot "$root" cc -O2 -Wall -o /build/VBoxHeadless /build/driverless.c -ldl
    chroot "$root" cc -O2 -Wall -static -o /build/inside /build/enter.c
    mv "$root/build/VBoxHeadless" "$folder/VBoxHeadless"
    mv "$root/build/inside" "$home/bin/inside"
    ln -sf inside "$home/bin/VBoxManage"
    # Where this computer has no such file there must be one to lay its own over.
    touch "$root/etc/resolv.conf" "$root/etc/hosts"
    printf '%s\n' "$wanted" >"$home/programs.stamp"
}

# pyvbox, the optional hand of the driver, beside VirtualBox's own Python interface; without it its test is skipped.
make_pyvbox() {
    local lock=$top/requirements/virtualbox-lane.lock folder=$root/usr/local/lib/pyvbox
    [ "$(cat "$folder.stamp" 2>/dev/null)" = "$(cat "$lock" "$root/packages.stamp")" ] && return 0
    [ -x "$top/.venv/bin/python" ] || return 0
    remove "$folder"
    "$top/.venv/bin/python" -m pip install --quiet --require-hashes --no-deps --target "$folder" \
        --requirement "$lock" >"$home/pip.log" 2>&1 || { say "pyvbox could not be had: $home/pip.log"; return 0; }
    printf '/usr/local/lib/pyvbox\n' >"$root/usr/lib/python3/dist-packages/pyvbox.pth"
    cat "$lock" "$root/packages.stamp" >"$folder.stamp"
}

if [ "${1:-}" = install-packages ]; then
    install_packages "$2" "$3"
    exit 0
fi
check_machine
mkdir -p "$home"
exec 9>"$home/lock"
flock 9
make_root
make_programs
make_pyvbox
"$home/bin/VBoxManage" --version >/dev/null 2>&1 9>&- || cannot "VBoxManage does not run in $root"
printf '%s\n' "$home"
