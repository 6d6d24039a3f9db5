#!/bin/sh
# What does a figure become where a sync takes its time? Runs a command whose every sync of a file on a disk takes so many
# milliseconds longer, and everything else as long as ever:
#
#     benches/slow_disk.sh 2 cargo bench --bench served -- http
#
# A sync on a network volume takes one to four; some virtual disks answer in 0.05, before anything has reached a disk.
set -eu

if [ $# -lt 2 ]; then
    echo "usage: $0 MILLISECONDS COMMAND…, e.g. $0 2 cargo bench --bench served -- http" >&2
    exit 2
fi
case $1 in
    '' | *[!0-9]*) echo "$0: MILLISECONDS is a whole number, not \`$1\`" >&2; exit 2 ;;
esac

# Where it is loaded from has to stay until the command has ended, and processes that outlive the shell find it too.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/slow.c" <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <time.h>

static int slow(const char *name, int file) {
    int (*sync)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    struct statfs disk;
    struct timespec wait = {MILLISECONDS / 1000, MILLISECONDS % 1000 * 1000000L};
    if (fstatfs(file, &disk) != 0 || disk.f_type != TMPFS_MAGIC) nanosleep(&wait, 0);
    return sync(file);
}
int fsync(int file) { return slow("fsync", file); }
int fdatasync(int file) { return slow("fdatasync", file); }
C
cc -shared -fPIC -O2 -DMILLISECONDS="$1" -o "$folder/slow.so" "$folder/slow.c" -ldl
shift
LD_PRELOAD="$folder/slow.so" "$@"
