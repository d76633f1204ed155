"""Medians with their spread, the machine, and Markdown tables between markers."""

import datetime
import json
import os
import pathlib
import platform
import statistics

from .daemon import Trouble


def number(value):
    """Three digits, as far as a reader can use them."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def spread(values):
    """The median, and the smallest and the largest where there are several."""
    middle = number(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({number(min(values))}-{number(max(values))})"


def share_lost(shares):
    """What was lost of what was sent."""
    if max(shares) == 0:
        return "0"
    percent = [100 * share for share in shares]
    return f"{statistics.median(percent):.2g} % ({min(percent):.2g}-{max(percent):.2g})"


def table(heads, rows):
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine():
    """Where, and beside what other work, numbers are made. To be called before they are."""
    models = (line for line in open("/proc/cpuinfo") if line.startswith("model name"))
    cpu = next(models, f":{platform.machine()}").split(":")[1].strip()
    settings = ("net.unix.max_dgram_qlen", "net.core.rmem_max", "fs.pipe-max-size", "net.ipv4.tcp_congestion_control")
    return {
        "date": datetime.date.today().isoformat(),
        "kernel": f"{platform.system()} {platform.release()}",
        "processors": os.cpu_count(),
        "cpu": cpu,
        "load_average": round(os.getloadavg()[0], 1),
        **{name: pathlib.Path("/proc/sys", *name.split(".")).read_text().strip() for name in settings},
    }


def runs(count):
    """How medians came about."""
    return f"{count} runs, interleaved: medians (smallest-largest)" if count > 1 else "One run"


def sentence(facts):
    """The same for a reader."""
    settings = ", ".join(f"`{name}` {value}" for name, value in facts.items() if "." in name)
    processors = f"{facts['processors']} processors ({facts['cpu']})"
    beside = f"load average {facts['load_average']} before the first run"
    return f"{facts['date']}: {facts['kernel']}, {processors}, {settings}; {beside}"


def update(path, name, text):
    """Puts a text between the markers of this name."""
    if path is None:
        return
    begin, end = (f"<!-- {name}: {side} -->" for side in ("begin", "end"))
    before, found, rest = pathlib.Path(path).read_text().partition(begin + "\n")
    _, found_end, after = rest.partition(end)
    if not (found and found_end):
        raise Trouble(f"cannot update {path}: it has no lines '{begin}' and '{end}'")
    pathlib.Path(path).write_text(before + found + text + "\n" + found_end + after)


def write_json(path, facts, **rows):
    if path:
        pathlib.Path(path).write_text(json.dumps({"machine": facts, **rows}, indent=1) + "\n")
