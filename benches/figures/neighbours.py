"""What producers at 10 MB/s feel of an archiver, a merger and five readers that catch up, together at ten times that rate: their
p99 alone and with these, in turn. The readers run when nobody else wants to: their processor time is not the broker's."""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time

from confluent_kafka.admin import AdminClient, NewTopic

from catch_up import produce
from support import HERE, Broker, free_port, program

READERS = 5
# Seconds that a producer takes to warm up, which say nothing of the broker.
WARM_UP = 8


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=int, default=25)
    arguments.add_argument("--pairs", type=int, default=3)
    arguments.add_argument("--mib", type=int, default=300, help="that there is to read")
    arguments.add_argument("--readers", type=int, default=READERS)
    arguments.add_argument("--reader-mb", type=float, default=20, help="per second and reader at most; 0: as fast as they can")
    arguments.add_argument("--other", help="host:port of another broker, measured in the same way")
    options = arguments.parse_args()
    folder = tempfile.mkdtemp(prefix="cenote-figures-")
    # Small files and no age: there is always something to archive and to merge.
    settings = ["--store", f"file://{folder}/store", "--archive-bytes", "16MiB", "--archive-age", "10s"]
    broker = Broker(1, folder, {}, settings, is_alone=True)
    try:
        broker.start()
        ours = f"127.0.0.1:{broker.kafka}"
        bootstraps = {"cenote": ours, **({"other": options.other} if options.other else {})}
        old = f"old-{free_port()}"
        for bootstrap in bootstraps.values():
            produce(bootstrap, old, "none", "1024", options.mib * 1024)
        subprocess.run([program("CENOTE_BIN", "cenote"), "archive", "flush", old, "--admin",
                        f"http://127.0.0.1:{broker.http}"], check=True, capture_output=True)
        figures = {(name, kind): [] for name in bootstraps for kind in ("alone", "with")}
        for pair in range(options.pairs):
            for name, bootstrap in bootstraps.items():
                for kind in ("alone", "with") if pair % 2 == 0 else ("with", "alone"):
                    p99 = measure(bootstrap, old, kind == "with", options)
                    figures[name, kind].append(p99)
                    print(f"pair {pair + 1}, {name} {kind}: p99 {p99} ms", flush=True)
        for name in bootstraps:
            alone, beside = (statistics.median(figures[name, kind]) for kind in ("alone", "with"))
            print(f"{name}: medians of p99 {alone} ms alone, {beside} ms with all of it: {beside / alone:.2f} times")
    finally:
        broker.process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def measure(bootstrap, old, is_beside, options):
    topic = f"rate-{free_port()}"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, num_partitions=6, replication_factor=1)])[topic].result()
    libraries = f"{os.environ.get('KAFKA_HOME') or '.'}/libs/*"
    readers = Readers(bootstrap, old, options) if is_beside else None
    try:
        rate = 10 * 1024
        done = subprocess.run(
            ["java", "-Xms512M", "-Xmx512M", "-cp", libraries, "org.apache.kafka.tools.ProducerPerformance", "--topic", topic,
             "--num-records", str(rate * (WARM_UP + options.seconds)), "--warmup-records", str(rate * WARM_UP),
             "--record-size", "1024", "--throughput", str(rate),
             "--producer-props", f"bootstrap.servers={bootstrap}", "acks=all"], capture_output=True, text=True, check=True)
    finally:
        if readers:
            print(f"  read beside: {readers.end():.0f} MB/s", flush=True)
    return int(re.findall(r"(\d+) ms 99th", done.stdout)[-1])


class Readers:
    """Those that catch up. They are there when this returns."""

    def __init__(self, bootstrap, topic, options):
        libraries = f"{os.environ.get('KAFKA_HOME') or '.'}/libs/*"
        self.child = subprocess.Popen(
            ["java", "-Xms512M", "-Xmx512M", "-cp", libraries, str(HERE / "Readers.java"), bootstrap, topic,
             str(options.mib * 1024), str(options.readers), str(options.reader_mb)],
            stdout=subprocess.PIPE, text=True,
            preexec_fn=lambda: os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0)))
        self.read = 0
        while self.read == 0:
            self.read = int(self.child.stdout.readline())
        self.since = time.monotonic()

    def end(self):
        """MB a second, of all."""
        self.child.kill()
        last = [int(line) for line in self.child.stdout.read().split()][-1]
        self.child.wait()
        return (last - self.read) / (time.monotonic() - self.since) / 1e6


if __name__ == "__main__":
    main()
