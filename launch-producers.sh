#!/usr/bin/env bash
# Starts producers side by side and says how many records they sent. See --help.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
    cat <<'EOF'
Usage: ./launch-producers.sh [KIND[=ADDRESS]|all] [-n PRODUCERS] [-o FILE] [-- PRODUCER OPTIONS]

Builds if needed, starts producers side by side (5 unless -n says otherwise; with all, as many on
each of the five transports), waits for them and says how many records they sent.

If no daemon listens there, one is started for the run and stopped after it; the script says how
many records it wrote and removes what it made. -o keeps the records in FILE.

KIND is unixsock (the default), tcp, unixgram, udp or fifo, with an address as aggregator --help
explains. What stands after -- goes to each producer, as producer --help explains:

  ./launch-producers.sh                           5 producers x 50 records over a Unix socket
  ./launch-producers.sh all                       the same over each of the five transports
  ./launch-producers.sh fifo -n 8 -- --rate 0 --count 100000

BIN_DIR names a folder with both programs to use instead of building them; ENDPOINTS says what all
stands for (unixsock tcp unixgram udp fifo).
EOF
}

fail() { # STATUS TEXT
    echo "launch-producers.sh: $2" >&2
    exit "$1"
}

# The number that a JSON line has under this key, at its top level.
number() { # KEY JSON
    sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" <<<"${2%%,\"endpoints\":*}"
}

kind=unixsock
kind_given=
count=5
keep=
while (($#)); do
    case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        -n | -o)
            (($# > 1)) || fail 1 "cannot use $1: it needs a value; see --help"
            if [[ $1 == -n ]]; then count=$2; else keep=$2; fi
            shift 2
            ;;
        --)
            shift
            break
            ;;
        -*) fail 1 "cannot use $1: there is no such option; see --help" ;;
        *)
            [[ ! $kind_given ]] || fail 1 "cannot use $1 beside $kind: one KIND, or all; see --help"
            kind=$1
            kind_given=1
            shift
            ;;
    esac
done
options=("$@")
[[ $count =~ ^[1-9][0-9]*$ ]] || fail 1 "cannot use -n $count: it is not a number of at least 1"
if [[ $kind == all ]]; then
    read -ra endpoints <<<"${ENDPOINTS:-unixsock tcp unixgram udp fifo}"
else
    endpoints=("$kind")
fi

producers=()
daemon=
scratch=$(mktemp -d)
made_fifos=() # where none stood before the daemon of this run

# Leaves nothing behind, however we leave.
clean_up() {
    trap - EXIT INT TERM HUP
    if ((${#producers[@]})); then kill "${producers[@]}" 2>/dev/null || true; fi
    if [[ $daemon ]]; then
        kill "$daemon" 2>/dev/null || true
        wait "$daemon" 2>/dev/null || true
    fi
    local fifo
    for fifo in ${made_fifos[@]+"${made_fifos[@]}"}; do
        # What somebody else has put there meanwhile is theirs.
        if [[ -p $fifo && ! -L $fifo && -O $fifo ]]; then rm -f -- "$fifo"; fi
    done
    rm -rf -- "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

programs=$("$root/scripts/programs" aggregator producer) || exit 2 # it has said why
{ read -r aggregator && read -r producer; } <<<"$programs"

# Which of the endpoints has no daemon?
free=()
is_free=()
for endpoint in "${endpoints[@]}"; do
    if verdict=$("$aggregator" --check --ipc "$endpoint" --output "$scratch/records"); then
        free+=("$endpoint")
        is_free+=(1)
        # A path may have any text in it, so only that of the default FIFO, which has none, is read from a verdict.
        fifo=$endpoint
        if [[ $fifo == fifo ]]; then fifo=${verdict%%: ok*}; fi
        if [[ $fifo == fifo=* && ! -e ${fifo#fifo=} && ! -L ${fifo#fifo=} ]]; then
            made_fifos+=("${fifo#fifo=}")
        fi
    elif [[ -z $verdict ]]; then
        exit 1 # the program has said what is wrong with the endpoint
    else
        # `ENDPOINT: REASON` comes first.
        behind=${verdict#"$endpoint"}
        reason=${behind%%$'\n'*}
        [[ $reason == *": in use by a running process" ]] ||
            fail 2 "cannot start a daemon: ${verdict%"$behind"}$reason"
        is_free+=(0)
    fi
done

if [[ $keep ]] && ((${#free[@]} == 0)); then
    fail 1 "cannot use -o $keep: a daemon listens there already, and has an output of its own"
fi
if ((${#free[@]})); then
    listen=()
    for endpoint in "${free[@]}"; do listen+=(--ipc "$endpoint"); done
    records=${keep:-$scratch/records}
    exec {from_daemon}< <(exec "$aggregator" "${listen[@]}" --output "$records")
    daemon=$!
    read -r ready <&"$from_daemon" || fail 2 "cannot start a daemon: see its line above"
    # Where the kernel chose the port, the daemon says which.
    for index in "${!endpoints[@]}"; do
        if [[ ${endpoints[index]} =~ ^(tcp|udp)=.*:0$ ]]; then
            endpoints[index]=$(grep -o "\"${BASH_REMATCH[1]}=[^\"]*\"" <<<"$ready" | tr -d '"')
        fi
    done
fi

reports=$scratch/reports
mkdir "$reports"
for endpoint in "${endpoints[@]}"; do
    for ((i = 0; i < count; i++)); do
        "$producer" --ipc "$endpoint" --report ${options[@]+"${options[@]}"} \
            >"$reports/${#producers[@]}" &
        producers+=($!)
    done
done
failed=0
for process in "${producers[@]}"; do
    wait "$process" || failed=$((failed + 1))
done
sent=0
sent_to_ours=0
for ((i = 0; i < ${#producers[@]}; i++)); do
    report=$(<"$reports/$i")
    if [[ $report ]]; then
        by_one=$(number sent "$report")
        sent=$((sent + by_one))
        if ((is_free[i / count])); then sent_to_ours=$((sent_to_ours + by_one)); fi
    fi
done
echo "${#producers[@]} producers sent $sent records over ${endpoints[*]}"
producers=()
((failed == 0)) || fail 2 "cannot send everything: $failed producers failed; see their lines above"

((${#free[@]})) || exit 0
kill "$daemon"
read -r summary <&"$from_daemon" || fail 2 "cannot read the daemon's summary: see its line above"
wait "$daemon" || fail 2 "cannot stop the daemon cleanly: see its line above"
daemon=
written=$(number records "$summary")
drops=$(number kernel_drops "$summary")
echo "the daemon started for this run, on ${free[*]}, wrote $written records of $sent_to_ours"
if ((drops)); then echo "the kernel dropped $drops, which were sent faster than they were read"; fi
echo "the last one: $(tail -n 1 "$records")"
if [[ $keep ]]; then echo "all of them are in $keep"; fi
((written + drops == sent_to_ours)) || fail 2 "cannot find all that was sent: this must not be; please report it"
