"""Loads a daemon with our own producers, one write(2) a record, and says what that cost the daemon."""

import dataclasses
import functools
import json
import subprocess
import time

from .daemon import Trouble, program


@dataclasses.dataclass
class Load:
    """What is sent: so many producers, each so many records, at a rate each (0 is flat out)."""

    name: str
    producers: int
    count: int
    rate: int
    size: int

    def send(self, endpoint):
        """Sends it all and returns how many records were sent."""
        numbers = f"--size={self.size} --rate={self.rate} --count={self.count}".split()
        command = [program("producer"), "--ipc", endpoint, "--report", *numbers]
        start = functools.partial(subprocess.Popen, command, stdout=subprocess.PIPE, text=True)
        processes = [start() for _ in range(self.producers)]
        try:
            reports = [process.communicate()[0] for process in processes]
        finally:
            for process in processes:
                process.kill()
                process.wait()
        if any(process.returncode for process in processes):
            raise Trouble(f"a producer failed on {endpoint}; see its line above")
        return sum(json.loads(report)["sent"] for report in reports)


def touch_memory(daemon, records, size):
    """Fills as much of the page cache as so many records will, and frees it. A hypervisor takes back memory that has
    been free for some seconds, and then the first touch of a page costs more than the records that go there."""
    block = bytes(1 << 20)
    path = daemon.work / "memory"
    with open(path, "wb", buffering=0) as file:
        for _ in range(records * (size + 200) // len(block) + 1):
            file.write(block)
    path.unlink()


def measure(daemon, load):
    """Sends a load to a daemon that sleeps; returns what came of it, and what it cost."""
    touch_memory(daemon, load.producers * load.count, load.size)
    cpu, start = daemon.cpu_ns(), time.time()
    sent = load.send(daemon.endpoint)
    written, end = daemon.wait_for_lines(sent)
    if not written:
        raise Trouble(f"{daemon.adapter.name} wrote nothing of what came over {daemon.endpoint}")
    return {
        "daemon": daemon.adapter.name,
        "transport": daemon.transport,
        "load": load.name,
        "sent": sent,
        "written": written,
        "lost": 1 - written / sent,
        "rate": written / (end - start),
        "cpu_us": (daemon.cpu_ns() - cpu) / 1e3 / written,
        "memory_kib": daemon.memory_peak_kib(),
    }
