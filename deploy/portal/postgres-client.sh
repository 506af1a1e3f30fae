#!/bin/sh
# Copy pg_dump and pg_restore of a directory of PostgreSQL's programs, and the libraries that they need but the C library:
# postgres-client.sh PROGRAMS TARGET
set -eu
mkdir -p "$2/bin" "$2/lib"
for name in pg_dump pg_restore; do
    cp "$1/$name" "$2/bin/"
    ldd "$1/$name" | sed -n 's/^.*=> \(\/[^ ]*\).*$/\1/p' | while read -r library; do
        case ${library##*/} in
        libc.so.* | libm.so.* | libpthread.so.* | libdl.so.* | librt.so.* | libresolv.so.*) ;;
        *) cp -L "$library" "$2/lib/" ;;
        esac
    done
done
