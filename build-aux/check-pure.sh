#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Fails if a pure layer calls anything that does I/O, reads the clock or the environment, logs or asks libvirt.
# Usage: check-pure.sh [--but MEMBER]... ARCHIVE...    (MEMBER: an object that is the layer's I/O, "virsysfs.c.o")
set -eu

bad='^(open|openat|fopen|freopen|fdopen|creat|read|pread|readlink|readlinkat|readdir|opendir|fdopendir|getdents|stat|lstat|fstat|fstatat|access|faccessat|write|pwrite|ioctl|mmap|socket|connect|recv|recvmsg|send|sendmsg|getenv|secure_getenv|setenv|time|clock_gettime|gettimeofday|localtime|rand|random|getrandom|system|popen|fork|vfork|exec[lv].*|posix_spawn.*|printf|vprintf|fprintf|vfprintf|puts|putchar|fputs|fputc|putc|fwrite|fflush|perror|syslog|dlopen|exit|abort|g_file_.*|g_dir_.*|g_mapped_file.*|g_getenv|g_setenv|g_get_(real|monotonic|current|home|host|user|tmp).*|g_date_time_new_now.*|g_random_.*|g_rand_new|g_spawn_.*|g_print.*|g_log.*|g_on_error.*|xmlReadFile|xmlReadFd|xmlReadIO|xmlCtxtReadFile|xmlParseFile|xmlSave.*|xmlDocDump|xmlNew.*Filename|json_parser_load_from_file|json_generator_to_file|vir(Connect|Domain(Define|Create|Get|Lookup)|Network(Get|Lookup)|Node|Event|Initialize|GetLastError|SetErrorFunc).*)(64)?(_chk)?$'

skip=
while [ "${1-}" = --but ]; do
    skip="$skip $2"
    shift 2
done
[ $# -gt 0 ] || { echo "usage: $0 [--but MEMBER]... ARCHIVE..." >&2; exit 2; }

# "Member.o:" heads the symbols of a member; undefined ones are "U name".
symbols=$(nm -u "$@" | awk -v skip="$skip" '
    BEGIN { n = split(skip, names, " ") }
    /:$/ { member = $0; sub(/:$/, "", member); sub(/.*[\/(]/, "", member); sub(/\)$/, "", member)
           sub(/^[a-z_]+@[a-z]+\.a\.p_/, "", member)
           used = 1; for (i = 1; i <= n; i++) if (member == names[i]) used = 0; next }
    used && NF { print member, $NF }')
[ -n "$symbols" ] || { echo "no symbols in $*"; exit 1; }

hits=$(echo "$symbols" | awk '{ sub(/@.*/, "", $2); sub(/^__isoc99_/, "", $2); sub(/^__+/, "", $2); print $2, $1 }' |
       grep -E "$(echo "$bad" | sed 's/\$$/ /')" | sort -u || :)
[ -z "$hits" ] || { echo "a pure layer calls (function, object):"; echo "$hits"; exit 1; }
echo "pure: $*"
