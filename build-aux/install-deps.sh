#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Installs what building ("build"), testing ("check", "e2e") or measuring ("bench") viommu needs on Debian, from the archive that
# the machine's own apt is set up for. Does nothing where nothing is missing, or where there is no apt.
set -eu

build='gcc libc6-dev meson ninja-build pkg-config libglib2.0-dev libxml2-dev libjson-glib-dev
       libvirt-dev libsystemd-dev python3 python3-docutils'
check='libvirt0 binutils mmdebstrap mount'
e2e='gcc-aarch64-linux-gnu libc6-dev-arm64-cross make flex bison bc xz-utils e2fsprogs kmod'
bench='strace pciutils'

case "${1-}" in
build) wanted=$build ;;
check) wanted="$build $check" ;;
e2e) wanted="$build $check $e2e" ;;
bench) wanted="$build $bench" ;;
*) echo "usage: $0 build|check|e2e|bench" >&2; exit 2 ;;
esac

command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || exit 0

missing=
for package in $wanted; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || :)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "missing packages:$missing" >&2
    echo "install them, or run this as root" >&2
    exit 1
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of words
apt-get -qq install -y --no-install-recommends $missing >/dev/null 2>&1 || {
    apt-get -qq update
    apt-get -qq install -y --no-install-recommends $missing >/dev/null
}
