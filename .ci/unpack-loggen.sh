#!/usr/bin/env bash
# Unpacks loggen, syslog-ng's load generator, into FOLDER without installing the log daemon that it comes
# with (which would replace the machine's own). Then: PATH=FOLDER:$PATH loggen --help
#
# usage: unpack-loggen.sh FOLDER
set -euo pipefail
folder=$(realpath --canonicalize-missing "${1:?usage: unpack-loggen.sh FOLDER}")
if [[ -x $folder/loggen ]]; then exit; fi

mkdir -p "$folder/debs"
cd "$folder/debs"
# GLib is the one library of loggen's that a small machine may lack; its package's name varies.
mapfile -t glib < <(apt-cache depends syslog-ng-core | sed -n 's/.*Depends: \(libglib2[^ ]*\)$/\1/p')
apt-get download -qq syslog-ng-core "${glib[@]}"
for deb in *.deb; do dpkg -x "$deb" "$folder"; done

libraries=$(dirname "$(find "$folder" -name 'libglib-2.0.so.0' | head -n 1)")
cat >"$folder/loggen.new" <<EOF
#!/bin/sh
export LD_LIBRARY_PATH='$folder/usr/lib/syslog-ng:$libraries' SYSLOGNG_PREFIX='$folder/usr'
exec '$folder/usr/bin/loggen' "\$@"
EOF
chmod +x "$folder/loggen.new"
help=$("$folder/loggen.new" --help 2>&1)
if ! grep -q socket-plugin <<<"$help"; then
    echo "unpack-loggen.sh: run loggen: $help" >&2
    exit 2
fi
mv "$folder/loggen.new" "$folder/loggen"
