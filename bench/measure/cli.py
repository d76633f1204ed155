"""What the command lines of the benchmarks have in common."""

import argparse
import signal
import sys
import time

from . import report
from .daemon import DAEMONS, TRANSPORTS, Trouble, adapters, program

START = time.monotonic()


def names(text):
    return text.split(",")


def transports(text):
    chosen = names(text)
    unknown = [name for name in chosen if name not in TRANSPORTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"'{unknown[0]}' is none of {', '.join(TRANSPORTS)}")
    return chosen


def parser(description, daemons, runs):
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = made.add_argument
    add("--transports", type=transports, default=TRANSPORTS, metavar="A,B", help="default: all five")
    usual = ",".join(daemons) if daemons else "those that are there"
    known = f"{', '.join(DAEMONS)}, or adapters' paths; default: {usual}"
    add("--daemons", type=names, default=daemons, metavar="A,B", help=known)
    add("--runs", type=int, default=runs, metavar="N", help="interleaved runs of each (default: %(default)s)")
    add("--quick", action="store_true", help="small loads, once: does it work?")
    add("--update", metavar="FILE", help="put the tables between the markers of this file")
    add("--json", metavar="FILE", help="write every single run to this file")
    return made


def log(text):
    print(f"{time.monotonic() - START:6.0f} s  {text}", file=sys.stderr, flush=True)


def run(parser, measure):
    """Runs a benchmark: `measure(options, adapters, facts)` returns its status. Cleans up at signals, too."""
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        program("producer")  # built now, not beside a measurement
        facts = report.machine()
        if facts["load_average"] > facts["processors"]:
            log(f"the load average is {facts['load_average']}: others' work will show in these numbers")
        sys.exit(measure(options, adapters(options.daemons), facts))
    except Trouble as trouble:
        print(f"{parser.prog}: {trouble}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
