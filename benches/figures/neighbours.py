"""What producers at 10 MB/s feel of an archiver, a merger and five readers that catch up, all at full speed: their p99 alone and
with these, in turn. The readers have a lower priority (`nice`), as they are not the broker's processor time."""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import tempfile

from confluent_kafka.admin import AdminClient, NewTopic

from catch_up import produce
from support import HERE, Broker, free_port, program

READERS = 5


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=int, default=25)
    arguments.add_argument("--pairs", type=int, default=3)
    arguments.add_argument("--mib", type=int, default=300, help="that there is to read")
    arguments.add_argument("--readers", type=int, default=READERS)
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
    loop = ('while :; do java -Xms256M -Xmx256M -cp "$0" "$1" "$2" "$3" "$4" >/dev/null 2>&1; done')
    readers = [
        subprocess.Popen(["nice", "-n", "19", "bash", "-c", loop, libraries, str(HERE.parent / "ConsumerPerf.java"), bootstrap,
                          old, str(options.mib * 1024)], start_new_session=True)
        for _ in range(options.readers if is_beside else 0)]
    try:
        rate = 10 * 1024
        done = subprocess.run(
            ["java", "-Xms512M", "-Xmx512M", "-cp", libraries, "org.apache.kafka.tools.ProducerPerformance", "--topic", topic,
             "--num-records", str(rate * options.seconds), "--record-size", "1024", "--throughput", str(rate),
             "--producer-props", f"bootstrap.servers={bootstrap}", "acks=all"], capture_output=True, text=True, check=True)
    finally:
        for reader in readers:
            os.killpg(reader.pid, 9)
            reader.wait()
    return int(re.findall(r"(\d+) ms 99th", done.stdout)[-1])


if __name__ == "__main__":
    main()
