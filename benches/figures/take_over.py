"""One of three brokers is killed under an idempotent load, again and again: how long its partitions pause, and those of the
others. Then each broker is asked to stop and started again, one after the other. At the end all that was acknowledged is
looked for."""

import argparse
import signal
import time

from support import Cluster, Load, await_that, spread

TOPIC = "load"


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--kills", type=int, default=20)
    arguments.add_argument("--partitions", type=int, default=60)
    arguments.add_argument("--rate", type=int, default=5_000_000, help="bytes per second")
    arguments.add_argument("--rest", type=float, default=6, help="seconds after a broker is back")
    options = arguments.parse_args()
    with Cluster(3) as cluster:
        cluster.create(TOPIC, options.partitions)
        load = Load(cluster, TOPIC, options.partitions, options.rate)
        time.sleep(5)
        killed = [kill(cluster, number % 3, options) for number in range(options.kills)]
        stopped = [restart(cluster, number, options) for number in range(3)] if options.kills else []
        answers = load.end()
        told(answers, killed, stopped)
        print(answers.check(cluster, TOPIC))


def kill(cluster, place, options):
    """Kills a broker; what it led, when that was, and until when nothing else happened."""
    broker = cluster.brokers[place]
    led = of_broker(cluster, broker)
    began = time.time()
    broker.process.kill()
    time.sleep(6)
    until = time.time()
    broker.start()
    await_that(lambda: cluster.is_balanced(TOPIC, 3), 60, "partitions for all")
    time.sleep(options.rest)
    return led, began, until


def restart(cluster, place, options):
    broker = cluster.brokers[place]
    led = of_broker(cluster, broker)
    began = time.time()
    broker.process.kill(signal.SIGTERM)
    broker.start()
    await_that(lambda: cluster.is_balanced(TOPIC, 3), 60, "partitions for all")
    time.sleep(options.rest)
    return led, began, time.time()


def of_broker(cluster, broker):
    return {partition for partition, leader in cluster.leaders(TOPIC).items() if leader == broker.number}


def told(answers, killed, stopped):
    first, others = [], []
    for number, (led, began, until) in enumerate(killed):
        pauses = {partition: answers.pause(partition, began, until) for partition in answers.times}
        ends = [end - began for partition, (_, end) in pauses.items() if partition in led]
        rest = [pause for partition, (pause, _) in pauses.items() if partition not in led]
        first.append(max(ends))
        others.append(max(rest))
        print(f"kill {number + 1}: {len(led)} partitions, acknowledged again after {min(ends):.3f} to {max(ends):.3f} s, "
              f"longest pause of the others {max(rest):.3f}", flush=True)
    if killed:
        print(f"from kill until each of its partitions has an acknowledged record: {spread(first)}")
        print(f"longest pause of the others: {spread(others)}")
    pauses = []
    for number, (_led, began, until) in enumerate(stopped):
        longest = [answers.pause(partition, began, until)[0] for partition in answers.times]
        pauses += longest
        print(f"rolling restart {number + 1}: longest pause {max(longest):.3f} s, {spread(longest)}")
    if pauses:
        print(f"rolling restart, pauses of all partitions: {spread(pauses)}")


if __name__ == "__main__":
    main()
