"""A fourth broker joins three under an idempotent load: who leads how much before and after, how long the partitions that
moved pause, and how long those that stayed."""

import argparse
import collections
import time

from support import Cluster, Load, await_that, spread

TOPIC = "load"


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--partitions", type=int, default=60)
    arguments.add_argument("--rate", type=int, default=5_000_000, help="bytes per second")
    options = arguments.parse_args()
    with Cluster(3) as cluster:
        cluster.create(TOPIC, options.partitions)
        load = Load(cluster, TOPIC, options.partitions, options.rate)
        time.sleep(15)
        quiet = time.time() - 8
        before = cluster.leaders(TOPIC)
        began = time.time()
        cluster.join()
        await_that(lambda: cluster.is_balanced(TOPIC, 4), 60, "partitions for all four")
        time.sleep(8)
        until = time.time()
        after = cluster.leaders(TOPIC)
        answers = load.end()
        print("led before:", dict(sorted(collections.Counter(before.values()).items())))
        print("led after: ", dict(sorted(collections.Counter(after.values()).items())))
        moved = [partition for partition in before if before[partition] != after[partition]]
        to_others = [partition for partition in moved if after[partition] != 4]
        print(f"moved: {len(moved)}, of which to another than the new one: {len(to_others)}")
        for name, of in (("moved", moved), ("stayed", [each for each in before if each not in moved])):
            print(f"pauses of those that {name}, before it joined: "
                  f"{spread([answers.pause(each, quiet, began)[0] for each in of])}")
            print(f"pauses of those that {name}, as it joined:     "
                  f"{spread([answers.pause(each, began, until)[0] for each in of])}")
        print(answers.check(cluster, TOPIC))


if __name__ == "__main__":
    main()
