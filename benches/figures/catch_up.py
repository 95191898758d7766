"""Reading a topic from its Parquet files: MB/s, and MB for each second of the broker's processor time, with a cold cache and then
with a warm one, for records of 1 KiB and of 100 B and producers with and without compression; and the same of another
broker (Apache Kafka, which reads its log from the page cache) if one is named."""

import argparse
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from statistics import median

from confluent_kafka.admin import AdminClient, NewTopic

from support import HERE, Broker, free_port, program


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--mib", type=int, default=300)
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--kinds", nargs="+", default=["none-1024", "none-100", "zstd-1024", "zstd-100"])
    arguments.add_argument("--other", help="host:port of another broker")
    arguments.add_argument("--other-pid", type=int, help="its process")
    options = arguments.parse_args()
    print("| producer, record bytes | run | cold MB/s | cold MB per CPU s | warm MB/s | warm MB per CPU s | other MB/s | other MB per CPU s |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for kind in options.kinds:
        rows = [measure(kind, run, options) for run in range(options.runs)]
        middles = [f"{median(column):.0f}" if None not in column else "-" for column in zip(*rows)]
        print(f"| {kind} | median | {' | '.join(middles)} |", flush=True)


def measure(kind, run, options):
    codec, record_bytes = kind.split("-")
    count = options.mib * 2**20 // int(record_bytes)
    folder = tempfile.mkdtemp(prefix="cenote-figures-")
    broker = Broker(1, folder, {}, ["--store", f"file://{folder}/store"], is_alone=True)
    try:
        broker.start()
        produce(f"127.0.0.1:{broker.kafka}", "read", codec, record_bytes, count)
        subprocess.run([program("CENOTE_BIN", "cenote"), "archive", "flush", "read", "--admin",
                        f"http://127.0.0.1:{broker.http}"], check=True, capture_output=True)
        broker.process.kill()
        shutil.rmtree(f"{folder}/cenote-1/cache", ignore_errors=True)
        broker.start()
        figures = [*read(f"127.0.0.1:{broker.kafka}", "read", count, broker.process.child.pid),
                   *read(f"127.0.0.1:{broker.kafka}", "read", count, broker.process.child.pid)]
    finally:
        broker.process.kill()
        shutil.rmtree(folder, ignore_errors=True)
    if options.other:
        topic = f"read-{kind}-{run}-{free_port()}"
        produce(options.other, topic, codec, record_bytes, count)
        read(options.other, topic, count, options.other_pid)
        figures += read(options.other, topic, count, options.other_pid)
    else:
        figures += [None, None]
    told = " | ".join("-" if figure is None else f"{figure:.0f}" for figure in figures)
    print(f"| {kind} | {run + 1} | {told} |", flush=True)
    return figures


def java(*arguments):
    home = os.environ.get("KAFKA_HOME") or "."
    done = subprocess.run(["java", "-Xms512M", "-Xmx512M", "-cp", f"{home}/libs/*", *arguments],
                          capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def produce(bootstrap, topic, codec, record_bytes, count):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, num_partitions=6, replication_factor=1)])[topic].result()
    java("org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--num-records", str(count), "--record-size",
         record_bytes, "--throughput", "-1", "--producer-props", f"bootstrap.servers={bootstrap}", "acks=all",
         f"compression.type={codec}", "batch.size=131072", "linger.ms=20")


def read(bootstrap, topic, count, pid):
    before = cpu_seconds(pid)
    megabytes, _records, seconds = java(str(HERE.parent / "ConsumerPerf.java"), bootstrap, topic, str(count)).split()
    used = cpu_seconds(pid) - before
    return float(megabytes) / float(seconds), float(megabytes) / used


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
