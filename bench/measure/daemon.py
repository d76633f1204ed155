"""Starts any log daemon through its adapter (the protocol: docs/faults.md) and looks at it from outside."""

import functools
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TRANSPORTS = ["unixsock", "tcp", "unixgram", "udp", "fifo"]
THROUGHPUT = "+throughput"  # behind a name: with the settings that its adapter has for that
DAEMONS = ["aggregator", "yardstick", "rsyslog", "rsyslog" + THROUGHPUT, "syslog-ng"]

PATIENCE = 20.0  # seconds, for what is sure to come
QUIET = 1.0  # seconds without a new byte, after which no more is expected


class Trouble(Exception):
    """Why there is nothing to measure; one line."""


@functools.cache
def program(name):
    """Where `producer` or `crowd` is, built and up to date. To be asked before anything is measured."""
    names = ["producer", "examples/crowd"]
    # What is wrong it says itself.
    told = subprocess.run([ROOT / "scripts" / "programs", *names], stdout=subprocess.PIPE, text=True, check=False)
    if told.returncode:
        raise Trouble("cannot find the programs that send; see the line above")
    return dict(zip(["producer", "crowd"], told.stdout.splitlines()))[name]


class Adapter:
    """A daemon that can be started."""

    def __init__(self, name):
        """`name` is one of DAEMONS, or the path of an adapter."""
        plain = name.removesuffix(THROUGHPUT)
        self.variables = {} if plain == name else {"FAULTS_THROUGHPUT": "1"}
        if plain not in DAEMONS:
            self.path = pathlib.Path(plain).resolve()
        elif plain == "yardstick":
            self.path = ROOT / "bench" / plain
        else:
            self.path = ROOT / "faults" / "adapters" / plain
        try:
            told = subprocess.run([self.path, "describe"], capture_output=True, text=True, check=False)
        except OSError as e:
            known = ", ".join(DAEMONS)
            raise Trouble(f"cannot run {self.path}: {e.strerror}; name {known} or an adapter's path") from e
        if told.returncode:
            raise Trouble(f"{name}: {told.stderr.strip()}")
        described = json.loads(told.stdout)
        if "program" in described:
            self.variables["FAULTS_PROGRAM"] = described["program"]
        self.name, self.version = described["name"] + name[len(plain):], described["version"]
        self.transports = described["transports"]


def adapters(names):
    """The adapters of these daemons, or of all those that are there if `names` is None."""
    found = []
    for name in names or DAEMONS:
        try:
            found.append(Adapter(name))
        except Trouble as trouble:
            if names:
                raise
            print(f"left out: {trouble}", file=sys.stderr)
    return found


class Daemon:
    """A running daemon, in a folder of its own that goes with it. Use it with `with`."""

    def __init__(self, adapter, transport, **variables):
        self.adapter, self.transport = adapter, transport
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="bench-"))
        self.output = self.work / "records.jsonl"
        if transport in ("tcp", "udp"):
            self.address = f"127.0.0.1:{free_port(transport)}"
        else:
            self.address = str(self.work / transport)
        self.endpoint = f"{transport}={self.address}"
        environment = os.environ | adapter.variables | variables
        # Whatever becomes of us, the daemon ends.
        command = ["setpriv", "--pdeathsig", "KILL", adapter.path]
        command += ["run", transport, self.address, self.output, self.work]
        with open(self.work / "stdout", "w") as out, open(self.work / "stderr", "w") as err:
            self.process = subprocess.Popen(command, cwd=self.work, env=environment, stdout=out, stderr=err)
        self.pid = self.process.pid

    def __enter__(self):
        try:
            self.wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.work, ignore_errors=True)

    def wait_until_ready(self):
        deadline = time.monotonic() + PATIENCE
        while not self.is_reached():
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = (self.work / "stderr").read_text().strip().splitlines() or ["it says nothing"]
                raise Trouble(f"{self.adapter.name} does not serve {self.endpoint}: {said[-1]}")
            time.sleep(0.02)
        self.wait_until_asleep()

    def is_reached(self):
        """Whether a client would be taken. What it leaves behind is an empty connection."""
        host, _, port = self.address.rpartition(":")
        try:
            if self.transport == "fifo":
                os.close(os.open(self.address, os.O_WRONLY | os.O_NONBLOCK))
            elif self.transport == "udp":
                return f":{int(port):04X} " in pathlib.Path("/proc/net/udp").read_text()
            elif self.transport == "tcp":
                socket.create_connection((host, int(port))).close()
            else:
                kind = socket.SOCK_STREAM if self.transport == "unixsock" else socket.SOCK_DGRAM
                with socket.socket(socket.AF_UNIX, kind) as client:
                    client.connect(self.address)
        except OSError:
            return False
        return True

    def wait_until_asleep(self):
        """Waits until it has used no processor time for a while."""
        before, deadline = -1, time.monotonic() + PATIENCE
        while (now := self.cpu_ns()) != before and time.monotonic() < deadline:
            before = now
            time.sleep(0.2)

    def cpu_ns(self):
        """Processor time of all its threads, to the nanosecond."""
        total = 0
        for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
        return total

    def memory_peak_kib(self):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])

    def lines(self):
        if not self.output.exists():
            return 0
        with open(self.output, "rb", buffering=0) as file:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))

    def wait_for_lines(self, wanted):
        """Waits until its output has so many lines or grows no more. Returns how many there are, and when the
        last came, in seconds on the wall clock."""
        seen, since, counted = -1, time.monotonic(), 0
        while True:
            size = self.output.stat().st_size if self.output.exists() else 0
            if size != seen:
                seen, since, counted = size, time.monotonic(), 0
            else:
                # Counted only when it rests: to read the file costs the processor that we share.
                counted = counted or self.lines()
                if counted >= wanted or time.monotonic() - since > QUIET:
                    end = self.output.stat().st_mtime if self.output.exists() else time.time()
                    return counted, end
            if self.process.poll() is not None:
                raise Trouble(f"{self.adapter.name} ended by itself with status {self.process.returncode}")
            time.sleep(0.03)


def free_port(transport):
    kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
