//! Each measure in plain words.

/// Term and meaning, in the order in which a reader meets them.
pub const GLOSSARY: &[(&str, &str)] = &[
    (
        "CPU a record",
        "How long a processor works for one record: the producers' time without their start and end, by the records sent, and the daemon's, by the records written. Where records are lost the two are not the same, and their sum is neither. A paced producer's sleep between two records is in it, which no mechanism is to blame for.",
    ),
    (
        "whole machine",
        "The same from the machine's own books, with interrupts, the producers' start and whatever else ran: nothing can hide there, but strangers can slip in.",
    ),
    (
        "p50, p99, p99.9",
        "The median latency, and the ones that only one record of a hundred, or of a thousand, exceeds. Repetitions are merged before, never averaged.",
    ),
    (
        "latency from due",
        "From when the plan wanted the record sent until the daemon's read returned. If the sender itself is late, that counts: it is what a user waits for.",
    ),
    (
        "latency from sent",
        "From right before the send call: the mechanism and the daemon's wake-up alone. Whether sender and daemon run on one processor may change it more than the mechanism does.",
    ),
    (
        "system call",
        "A program's request to the kernel. Each costs some hundred nanoseconds whatever it does, so calls for a record show how much of the price is asking.",
    ),
    (
        "a + b * N",
        "Calls were counted for two lengths of a run. b is what each further record adds; a is what the start and the end cost, once.",
    ),
    (
        "wait, read, write, pacing, other",
        "What calls are for: learning what has arrived (epoll_wait), fetching it, handing a record on, sleeping until the next is due (clock_nanosleep), and starting, connecting, ending.",
    ),
    (
        "records a round",
        "Records that the daemon served after one wake-up. The more, the fewer waits and writes for each; whether that makes a record cheaper depends on the mechanism.",
    ),
    (
        "wake-up",
        "The kernel makes a sleeping program ready to run. It costs the waker as well as the woken.",
    ),
    (
        "sleeps and yields",
        "Voluntary switches: the program had nothing to do, or had to wait. Involuntary ones: another program was given its processor.",
    ),
    (
        "queued",
        "Ready to run, but no processor was free (run-queue wait).",
    ),
    (
        "lost",
        "Records that were sent and are not in the file. Three witnesses count them: gaps in the sequence numbers, the socket's own counter, the kernel's.",
    ),
    (
        "flat out",
        "Each producer sends as fast as it can: what is measured then is the machine as much as the mechanism.",
    ),
    (
        "told apart",
        "Two mechanisms differ on a measure if all repetitions of one are below all of the other; else they are tied (~). Chance alone tells a pair apart that does not differ: 1 of 3 with two repetitions of each, 1 of 10 with three, 1 of 35 with four. Tied is not equal, and of three that are tied in a row the first and the last may be told apart.",
    ),
    (
        "traced",
        "Watched by bpftrace or strace, which slows what it watches. Counts are from traced trials, mostly a single one for each load; times never are.",
    ),
];
