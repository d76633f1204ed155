#!/usr/bin/env bash
# Loads a daemon on all five transports for as long as you like and balances the books. See --help.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
    cat <<'EOT'
Usage: tests/soak.sh [MINUTES|SECONDSs] [--rate PER_SECOND] [--steady]

Builds if needed, starts a daemon on all five transports and two producers on each, and lets them run (1
minute unless told otherwise), 2000 records a second on each transport unless --rate says otherwise. The
producers do not pause while

  - the output is rotated, every 4 MB,
  - the daemon is stopped with SIGTERM and started anew, every 30 seconds,
  - the disk fills up for 2 seconds, every 30 seconds (root only: it takes a small tmpfs).

With --steady only the first. At the end each producer's records are compared with the output, by their
numbers, and a table says for each transport what was sent, written, counted as dropped by the kernel and
lost; then how much memory the daemon had. Exit status 0 if nothing is lost, doubled or torn and the
memory has stayed within its bound, 2 if not.

BIN_DIR names a folder with both programs to use instead of building them.
EOT
}

fail() { # STATUS TEXT
    echo "soak.sh: $2" >&2
    exit "$1"
}

transports=(unixsock tcp unixgram udp fifo)
rotate_bytes=4000000
disk_mib=256
period=30      # seconds between two restarts, and between two full disks
memory_max=16384 # KiB that a daemon may have at its peak
seconds=60
rate=2000
steady=
while (($#)); do
    case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --steady) steady=1 ;;
        --rate)
            [[ ${2-} =~ ^[1-9][0-9]*$ ]] ||
                fail 1 "cannot use --rate ${2-}: it needs a number of at least 1; see --help"
            rate=$2
            shift
            ;;
        *)
            [[ $1 =~ ^([1-9][0-9]*)(s?)$ ]] || fail 1 "cannot use $1: it is no number of minutes; see --help"
            seconds=${BASH_REMATCH[1]}
            [[ ${BASH_REMATCH[2]} ]] || seconds=$((seconds * 60))
            ;;
    esac
    shift
done

programs=$("$root/scripts/programs" aggregator producer) || exit 2 # it has said why
{ read -r aggregator && read -r producer; } <<<"$programs"

scratch=$(mktemp -d)
disk=$scratch/disk
output=$disk/records.jsonl
producers=()
daemon=
sampler=
is_mounted=

# Leaves nothing behind, however we leave.
clean_up() {
    trap - EXIT INT TERM HUP
    if ((${#producers[@]})); then kill "${producers[@]}" 2>/dev/null || true; fi
    if [[ $sampler ]]; then kill "$sampler" 2>/dev/null || true; fi
    if [[ $daemon ]]; then
        kill "$daemon" 2>/dev/null || true
        wait "$daemon" 2>/dev/null || true
    fi
    if [[ $is_mounted ]]; then umount "$disk" || umount --lazy "$disk"; fi
    rm -rf -- "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

mkdir "$disk"
if [[ ! $steady ]]; then
    if ((EUID == 0)) && mount -t tmpfs -o "size=${disk_mib}m" tmpfs "$disk" 2>/dev/null; then
        is_mounted=1
    else
        echo "soak.sh: no full disks: to mount a tmpfs takes root" >&2
    fi
fi

endpoints=("unixsock=$scratch/stream" tcp=127.0.0.1:0 "unixgram=$scratch/datagrams" udp=127.0.0.1:0
    "fifo=$scratch/fifo")
daemons=0
samples=$scratch/samples

# Starts a daemon on the endpoints, and notes which ports it got the first time.
start_daemon() {
    local listen=() ready endpoint
    for endpoint in "${endpoints[@]}"; do listen+=(--ipc "$endpoint"); done
    exec {from_daemon}< <(exec "$aggregator" "${listen[@]}" --output "$output" \
        --rotate-size "$rotate_bytes" 2>>"$scratch/said")
    daemon=$!
    read -r ready <&"$from_daemon" || fail 2 "cannot start a daemon: $(tail -n 1 "$scratch/said")"
    daemons=$((daemons + 1))
    mapfile -t endpoints < <(grep -o '"[a-z]*=[^"]*"' <<<"$ready" | tr -d '"')
    sample "$daemon" "$daemons" &
    sampler=$!
}

# Stops it, and keeps its summary.
stop_daemon() {
    local summary status=0
    kill "$sampler" 2>/dev/null || true
    wait "$sampler" 2>/dev/null || true
    kill "$daemon"
    read -r summary <&"$from_daemon" || fail 2 "cannot read a summary: $(tail -n 1 "$scratch/said")"
    wait "$daemon" || status=$?
    daemon=
    exec {from_daemon}<&-
    echo "$summary" >>"$scratch/summaries"
    ((status == 0)) || fail 2 "cannot stop a daemon cleanly: status $status; $(tail -n 1 "$scratch/said")"
}

# Notes each second how much memory a daemon has: which daemon, VmHWM, VmRSS.
sample() { # PID NUMBER
    while sleep 1; do
        awk -v number="$2" '/^Vm(HWM|RSS)/ { line = line " " $2 } END { if (line) print number line }' \
            "/proc/$1/status" 2>/dev/null >>"$samples" || true
    done
}

# Compares the numbers of each producer's records with 0, 1, 2...; the first lines say whose they are.
# Prints for each transport: written, doubled; and how many lines are no producer's record.
judge() {
    awk -F '[:,]' '
        $1 == "producer" { transport[$2] = $3; next }
        $9 != "\"pid\"" || $11 != "\"seq\"" || !/^[{].*[}]$/ || !($10 in transport) { strange++; next }
        {
            # One that has come before, or out of its order.
            if ($12 < next_of[$10]) { doubled[transport[$10]]++; next }
            next_of[$10] = $12 + 1
            written[transport[$10]]++
        }
        END {
            for (pid in transport) {
                kind = transport[pid]
                print kind, written[kind] + 0, doubled[kind] + 0
            }
            print "strange", strange + 0
        }'
}

# Hands finished files to the judge and removes them: the disk is small.
collect() {
    local file
    for file in "$output".*; do
        [[ -e $file ]] || continue
        cat "$file" >&"$to_judge"
        rm -- "$file"
        rotations=$((rotations + 1))
    done
}

fill_disk() {
    head -c "${disk_mib}m" /dev/zero >"$disk/filler" 2>/dev/null || true
    sleep 2
    rm -- "$disk/filler"
    fills=$((fills + 1))
}

rotations=0
fills=0
start_daemon
exec {to_judge}> >(judge >"$scratch/verdict")
judge=$!
for index in "${!endpoints[@]}"; do
    for number in 1 2; do
        "$producer" --ipc "${endpoints[index]}" --rate "$((rate / 2))" --duration "$seconds" --stamp \
            --wait 60 --report >"$scratch/report.$index.$number" {to_judge}>&- &
        producers+=($!)
        echo "producer:$!:${transports[index]}" >&"$to_judge"
    done
done

began=$SECONDS
while ((SECONDS - began < seconds)); do
    sleep 0.5
    collect
    if [[ $steady ]]; then continue; fi
    if ((SECONDS - began > period * daemons - period / 3)); then
        stop_daemon
        start_daemon
    fi
    if [[ $is_mounted ]] && ((SECONDS - began > period * (fills + 1) - 2 * period / 3)); then
        fill_disk
    fi
done
for index in "${!producers[@]}"; do
    wait "${producers[index]}" ||
        fail 2 "cannot send everything: a producer over ${endpoints[index / 2]} failed; see its line above"
done
producers=()
stop_daemon
sampler=
collect
cat "$output" >&"$to_judge"
exec {to_judge}>&-
wait "$judge"

# The sum of a key in JSON lines.
sum() { # KEY
    grep -o "\"$1\":[0-9]*" | awk -F : '{ sum += $2 } END { printf "%d", sum }'
}

bad=0
echo "$daemons daemons, $rotations rotations, $fills full disks" \
    "($(grep -o '"paused_seconds":[0-9.]*' "$scratch/summaries" |
        awk -F : '{ sum += $2 } END { printf "%.1f", sum }') s), in $((SECONDS - began)) s"
echo
echo "| transport | sent | written | counted as dropped | difference | doubled | connected anew |"
echo "| --- | --- | --- | --- | --- | --- | --- |"
for index in "${!transports[@]}"; do
    kind=${transports[index]}
    reports=$(cat "$scratch/report.$index".*)
    sent=$(sum sent <<<"$reports")
    read -r _ written doubled < <(grep "^$kind " "$scratch/verdict")
    of_kind=$(grep -o "\"$kind=[^\"]*\":{[^}]*}" "$scratch/summaries")
    counted=$(sum records <<<"$of_kind")
    dropped=$(sum kernel_drops <<<"$of_kind")
    difference=$((sent - written - dropped))
    echo "| $kind | $sent | $written | $dropped | $difference | $doubled | $(sum reconnects <<<"$reports") |"
    ((difference == 0 && doubled == 0)) || bad=1
    if ((counted != written)); then
        bad=1
        echo "soak.sh: the daemons' summaries say $counted records over $kind" >&2
    fi
done
strange=$(awk '$1 == "strange" { print $2 }' "$scratch/verdict")
if ((strange)); then
    bad=1
    echo "soak.sh: $strange lines are no producer's records" >&2
fi
echo
awk -v max="$memory_max" '
    { rss[$1, ++count[$1]] = $3; if ($2 > peak) peak = $2; if (count[$1] > count[longest]) longest = $1 }
    END {
        printf "memory of the daemon that ran longest, in KiB, from the first to the last of its %d seconds:", \
            count[longest]
        for (part = 0; part <= 4; part++) printf " %d", rss[longest, 1 + int((count[longest] - 1) * part / 4)]
        printf "\npeak of all daemons (VmHWM): %d; bound: %d\n", peak, max
        exit peak > max
    }' "$samples" || bad=1
((bad == 0)) || fail 2 "cannot balance the books: see above; the daemons said: $(tail -n 3 "$scratch/said")"
