#!/usr/bin/env bash
# Counts the system calls of producers and daemon under the classic load, one transport after the
# other, and prints them as a table. See --help.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
begin='<!-- syscall-table: begin -->'
end='<!-- syscall-table: end -->'
producers=5
records=250 # 5 producers x 10 a second x 5 s

# What the original published for the same load: the sum of its producers' calls.
declare -A original=([unixsock]=4042 [tcp]=3928 [unixgram]=3953 [udp]=3901 [fifo]=3598)

usage() {
    cat <<'EOF'
Usage: sudo ./bpftrace/syscall-table.sh [--update FILE]

Runs the classic load (5 producers, 10 records a second, 5 seconds) over each transport, counts all
system calls of producers and daemon with the two scripts beside this one, and prints a Markdown
table. --update also writes it into FILE, between its syscall-table markers. Takes about a minute.

Needs root, bpftrace, and the programs in target/release (BIN_DIR names another folder). The scripts
count by process name, so no other producer or aggregator may run meanwhile.
EOF
}

fail() { # STATUS TEXT
    echo "syscall-table.sh: $2" >&2
    exit "$1"
}

update=
case ${1:-} in
    '') ;;
    -h | --help)
        usage
        exit 0
        ;;
    --update)
        update=${2:-}
        grep -qF -- "$begin" "$update" 2>/dev/null ||
            fail 1 "cannot update '$update': it has no line '$begin'"
        ;;
    *) fail 1 "cannot use $1: there is no such option; see --help" ;;
esac

((EUID == 0)) || fail 2 "cannot trace: this needs root; try sudo"
command -v bpftrace >/dev/null || fail 2 "cannot trace: bpftrace is not installed; try apt-get install bpftrace"
[[ -d /sys/kernel/tracing/events/raw_syscalls ]] ||
    fail 2 "cannot trace: tracefs is not mounted; try mount -t tracefs nodev /sys/kernel/tracing"
bin=${BIN_DIR:-${CARGO_TARGET_DIR:-$root/target}/release}
[[ -x $bin/producer ]] || fail 2 "cannot run $bin/producer: it is missing; try cargo build --release"
for name in producer aggregator; do
    if pgrep -x "$name" >/dev/null; then fail 2 "cannot count: another $name runs; stop it first"; fi
done

scratch=$(mktemp -d)
jobs_running=()
clean_up() {
    trap - EXIT INT TERM HUP
    if ((${#jobs_running[@]})); then kill "${jobs_running[@]}" 2>/dev/null || true; fi
    wait
    rm -rf -- "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Starts a counting script and returns when it counts. Sets `tracer`.
start_counting() { # SCRIPT OUTPUT
    bpftrace "$here/$1" >"$2" 2>"$2.errors" &
    tracer=$!
    jobs_running+=("$tracer")
    for ((i = 0; i < 600; i++)); do
        if grep -q '^Counting' "$2"; then return; fi
        kill -0 "$tracer" 2>/dev/null || break
        sleep 0.1
    done
    cat "$2.errors" >&2
    fail 2 "cannot trace: $1 did not start; see the lines above"
}

# Ends counting scripts. bpftrace 0.17 forgets a signal that comes while it does not wait for one.
stop_counting() { # PID...
    local pid i
    for pid in "$@"; do
        for ((i = 0; i < 600; i++)); do
            if ((i % 50 == 0)); then kill -INT "$pid" 2>/dev/null || break; fi
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        wait "$pid" || true
    done
}

# The count under this name in a script's output, 0 if there is none.
count_of() { # NAME OUTPUT
    awk -F': ' -v name="$1" '$1 == name { print $2; found = 1 } END { if (!found) print 0 }' "$2"
}

measure() { # TRANSPORT
    local kind=$1 address ready daemon tracers=()
    case $kind in
        tcp | udp) address=127.0.0.1:0 ;;
        *) address=$scratch/$kind ;;
    esac
    exec {from_daemon}< <(exec "$bin/aggregator" --ipc "$kind=$address" --output "$scratch/$kind.jsonl")
    daemon=$!
    jobs_running+=("$daemon")
    read -r ready <&"$from_daemon" || fail 2 "cannot start a daemon: see its line above"
    endpoint=$(grep -o "\"$kind=[^\"]*\"" <<<"$ready" | tr -d '"')

    for side in producer aggregator; do
        start_counting "${side}_syscalls.bt" "$scratch/$kind-$side"
        tracers+=("$tracer")
    done
    local pids=()
    for ((i = 0; i < producers; i++)); do
        "$bin/producer" --ipc "$endpoint" &
        pids+=($!)
    done
    wait "${pids[@]}"
    while (($(wc -l <"$scratch/$kind.jsonl") < records)); do sleep 0.1; done
    stop_counting "${tracers[@]}"
    kill "$daemon"
    cat <&"$from_daemon" >/dev/null
    exec {from_daemon}<&-
    jobs_running=()
}

row() { # TRANSPORT
    local kind=$1
    local -A of
    for side in producer aggregator; do
        of[$side]=$(count_of @total "$scratch/$kind-$side")
    done
    local writes pacing
    writes=$(count_of '@calls[write]' "$scratch/$kind-producer")
    ((writes == records)) ||
        fail 2 "cannot trust the counts: $writes writes of $records records; did another producer run?"
    pacing=$(count_of '@calls[clock_nanosleep]' "$scratch/$kind-producer")
    awk -v kind="$kind" -v producer="${of[producer]}" -v writes="$writes" -v pacing="$pacing" \
        -v aggregator="${of[aggregator]}" -v original="${original[$kind]}" -v n="$records" 'BEGIN {
            printf "| %s | %d | %d | %d | %d | %.1f | %d | %.1f | %d | %.1f |\n", kind, producer,
                writes, pacing, producer - writes - pacing, producer / n, original, original / n,
                aggregator, aggregator / n
        }'
}

kinds=(unixsock tcp unixgram udp fifo)
for kind in "${kinds[@]}"; do
    echo "syscall-table.sh: $kind" >&2
    measure "$kind"
done
{
    echo "| transport | producers' calls | of them write | sleep | start and end | a record | the original's | a record | daemon's calls | a record |"
    echo "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for kind in "${kinds[@]}"; do row "$kind"; done
} >"$scratch/table"
cat "$scratch/table"

if [[ $update ]]; then
    awk -v begin="$begin" -v end="$end" -v table="$scratch/table" '
        $0 == begin { print; while ((getline line < table) > 0) print line; skip = 1 }
        $0 == end { skip = 0 }
        !skip' "$update" >"$scratch/updated"
    cat "$scratch/updated" >"$update"
fi
