# shellcheck shell=sh
# For adapters whose daemon is a Debian package: find it installed, or unpacked beside the others.
# rsyslog and syslog-ng conflict as packages; unpacked, each in a folder of its own, they do not.

cache=${XDG_CACHE_HOME:-$HOME/.cache}/faults

# unpack NAME PACKAGE...: downloads the packages and unpacks them, without installing anything.
unpack() {
    name=$1
    shift
    rm -rf "${cache:?}/$name.new"
    mkdir -p "$cache/$name.new/packages"
    (
        cd "$cache/$name.new/packages" || exit
        # apt's sandbox user cannot write here; that is no concern, and not to be said.
        apt-get -qq -o APT::Sandbox::User=root download "$@"
        for package in *.deb; do
            dpkg -x "$package" ..
        done
    )
    rm -rf "${cache:?}/$name"
    mv "$cache/$name.new" "$cache/$name"
    echo "unpacked in $cache/$name" >&2
}

# shellcheck disable=SC2034 # program is for the adapter
# find_daemon NAME PROGRAM: sets root ('' if the daemon is installed) and program, or says what to do.
find_daemon() {
    if [ -x "$cache/$1/usr/sbin/$2" ]; then
        root=$cache/$1
        program=$root/usr/sbin/$2
        libraries=$(dirname "$(find "$root/usr/lib" -name 'lib*.so.*' -path '*linux-gnu/*' | head -n 1)")
        export LD_LIBRARY_PATH="$libraries:$root/usr/lib/$1:$root/lib/${libraries##*/}"
    elif program=$(command -v "$2"); then
        root=
    else
        echo "$2 is not installed: run '$0 setup', which unpacks Debian's package into $cache" >&2
        exit 2
    fi
}
