#!/usr/bin/env bash
# Fetches the packages of group "unpacked" (packages.txt) and unpacks them into a folder, whose name it prints.
# They are not installed: cloud-init's services would set up the computer of whoever runs the tests at its next start.
# A finished folder is used again and may be shared: UNPACKED names it, default ~/.cache/volunteer-cloud/unpacked.
# Exit code 75: it cannot be had here and now; what it prints is then the reason, in one line.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
home=${UNPACKED:-${XDG_CACHE_HOME:-$HOME/.cache}/volunteer-cloud/unpacked}

cannot() { printf '%s\n' "$*"; exit 75; }

for name in apt-get dpkg-deb flock; do
    command -v "$name" >/dev/null || cannot "$name is not installed: this needs Debian or a system made from it"
done
mapfile -t packages < <(awk '$1 == "unpacked" { print $2 }' "$here/packages.txt")
mkdir -p "$home"
exec 9>"$home.lock"
flock 9
if [ "$(cat "$home/stamp" 2>/dev/null)" != "${packages[*]}" ]; then
    [ ! -e "$home" ] || [ -e "$home/stamp" ] || cannot "$home is there and is not ours to replace"
    work=$home.new
    rm -rf -- "$work"
    mkdir -p "$work/archives" "$work/root"
    (cd "$work/archives" && apt-get download "${packages[@]}") >"$home.log" 2>&1 ||
        cannot "the packages could not be fetched; the whole log is $home.log"
    for archive in "$work/archives/"*.deb; do dpkg-deb -x "$archive" "$work/root"; done
    rm -rf -- "$work/archives" "$home"
    printf '%s\n' "${packages[*]}" >"$work/stamp"
    mv -- "$work" "$home"
fi
printf '%s\n' "$home/root"
