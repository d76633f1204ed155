"""Counts a daemon's system calls: with bpftrace, which hardly slows it, or else with strace."""

import os
import pathlib
import shutil
import signal
import subprocess
import time

from .daemon import PATIENCE, Trouble

# The banner comes when all probes are attached.
COUNT = """
BEGIN {{ printf("Counting\\n"); }}
tracepoint:raw_syscalls:sys_enter /pid == {pid}/ {{ @total = count(); }}
"""
TRACEPOINTS = pathlib.Path("/sys/kernel/tracing/events/raw_syscalls")


def can_bpftrace():
    return os.geteuid() == 0 and shutil.which("bpftrace") and TRACEPOINTS.exists()


def tool():
    """What counts here, or None."""
    return "bpftrace" if can_bpftrace() else "strace" if shutil.which("strace") else None


class Trace:
    """A tracer that is attached to a daemon. Use it with `with`; its text is complete after `finish`."""

    def __init__(self, command, banner, folder):
        self.path = folder / "trace"
        with open(self.path, "w") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        self.banner = banner

    def __enter__(self):
        deadline = time.monotonic() + 3 * PATIENCE
        while self.banner not in self.path.read_text():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                said = self.path.read_text().strip()
                raise Trouble(f"cannot trace: {said or 'the tracer does not start'}")
            time.sleep(0.05)
        return self

    def finish(self):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            # bpftrace has been seen to miss one.
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(2)
                return self.path.read_text()
            except subprocess.TimeoutExpired:
                pass
        raise Trouble("the tracer does not end")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class CallCount(Trace):
    """Counts all system calls of all threads."""

    def __init__(self, daemon):
        self.by = tool()
        if self.by == "bpftrace":
            super().__init__(["bpftrace", "-e", COUNT.format(pid=daemon.pid)], "Counting", daemon.work)
        else:
            super().__init__(["strace", "-f", "-c", "-p", str(daemon.pid)], " attached", daemon.work)

    def total(self):
        for line in self.finish().splitlines():
            words = line.split()
            if self.by == "bpftrace" and line.startswith("@total"):
                return int(words[-1])
            if self.by == "strace" and words[-1:] == ["total"]:
                return int(words[3])
        return 0
