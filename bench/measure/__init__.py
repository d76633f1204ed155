"""What the benchmarks share: daemons, loads, traces, tables."""
