#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Installs a configuration file, unless there is one: install-config.sh FILE DIRECTORY
set -eu
target="${DESTDIR-}$2/$(basename "$1")"
if [ -e "$target" ]; then
    echo "Keeping $target"
    exit 0
fi
mkdir -p "${DESTDIR-}$2"
install -m 644 "$1" "$target"
echo "Installing $1 to $target"
