"""What three brokers have etcd write under the same load at 1, 100 and 10,000 partitions, and how large etcd becomes."""

import argparse
import time

from support import Cluster, Load

TOPIC = "load"


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--partitions", type=int, nargs="+", default=[1, 100, 10_000])
    arguments.add_argument("--rate", type=int, default=5_000_000, help="bytes per second")
    arguments.add_argument("--seconds", type=int, default=60)
    options = arguments.parse_args()
    print("| partitions | puts per s | deletes per s | transactions per s | bytes in use, MiB | size, MiB |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for partitions in options.partitions:
        measure(partitions, options)


def measure(partitions, options):
    with Cluster(3) as cluster:
        cluster.create(TOPIC, partitions)
        load = Load(cluster, TOPIC, partitions, options.rate, settings=["linger.ms=100"])
        time.sleep(15)
        names = ["etcd_mvcc_put_total", "etcd_mvcc_delete_total", "etcd_mvcc_txn_total"]
        began, before = time.monotonic(), [cluster.etcd.metric(name) for name in names]
        time.sleep(options.seconds)
        after, seconds = [cluster.etcd.metric(name) for name in names], time.monotonic() - began
        in_use = cluster.etcd.metric("etcd_mvcc_db_total_size_in_use_in_bytes") / 2**20
        size = cluster.etcd.metric("etcd_mvcc_db_total_size_in_bytes") / 2**20
        answers = load.end()
        rates = " | ".join(f"{(b - a) / seconds:.1f}" for a, b in zip(before, after))
        print(f"| {partitions} | {rates} | {in_use:.1f} | {size:.1f} |", flush=True)
        assert answers.refused == 0, f"{answers.refused} refused"


if __name__ == "__main__":
    main()
