"""100,000 partitions on three brokers: how long they take to create, what memory the brokers have, and how long after a kill
the killed broker's partitions are acknowledged again. A part of them has load all the time."""

import argparse
import time

from support import Cluster, Load, await_that

LOADED = "load"


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--topics", type=int, default=10)
    arguments.add_argument("--partitions", type=int, default=10_000, help="of each topic")
    arguments.add_argument("--kills", type=int, default=3)
    options = arguments.parse_args()
    with Cluster(3) as cluster:
        memory("empty", cluster)
        began = time.monotonic()
        for number in range(options.topics):
            cluster.create(LOADED if number == 0 else f"topic-{number}", options.partitions)
        created = time.monotonic() - began
        await_that(lambda: cluster.is_balanced(LOADED, 3), 120, "partitions for all")
        print(f"{options.topics * options.partitions} partitions created in {created:.1f} s")
        memory("created", cluster)
        load = Load(cluster, LOADED, options.partitions, settings=["linger.ms=100"])
        time.sleep(20)
        memory("under load", cluster)
        kills = [kill(cluster, number % 3) for number in range(options.kills)]
        memory("after the kills", cluster)
        answers = load.end()
        for led, began, until in kills:
            ends = sorted(answers.pause(each, began, until)[1] - began for each in led)
            print(f"kill: {len(led)} loaded partitions, acknowledged again after {ends[0]:.2f} s the first, "
                  f"{ends[len(ends) // 2]:.2f} the middle, {ends[-1]:.2f} the last")
        print(answers.check(cluster, LOADED))


def memory(when, cluster):
    resident = ", ".join(f"{broker.process.resident_mib():.0f}" for broker in cluster.brokers)
    print(f"resident memory {when}: {resident} MiB", flush=True)


def kill(cluster, place):
    broker = cluster.brokers[place]
    led = {partition for partition, leader in cluster.leaders(LOADED).items() if leader == broker.number}
    began = time.time()
    broker.process.kill()
    time.sleep(12)
    until = time.time()
    broker.start()
    await_that(lambda: cluster.is_balanced(LOADED, 3), 120, "partitions for all")
    time.sleep(5)
    return led, began, until


if __name__ == "__main__":
    main()
