"""Throughput through a gateway, a broker that leads nothing and sends every request on, against the same clients at the
leader: pairs in turn. Kafka's own load tools."""

import argparse
import os
import re
import statistics
import subprocess

from support import Cluster, await_that, free_port, program

RECORD_BYTES = 1024


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--mib", type=int, default=300)
    arguments.add_argument("--pairs", type=int, default=3)
    options = arguments.parse_args()
    with Cluster(0) as cluster:
        leader, gateway = start(cluster)
        ways = {"direct": leader.kafka, "gateway": gateway.kafka}
        figures = {(kind, way): [] for kind in ("produce", "consume") for way in ways}
        for pair in range(options.pairs):
            for way in list(ways) if pair % 2 == 0 else list(ways)[::-1]:
                topic = f"{way}-{pair}"
                cluster.create(topic, 6)
                await_that(lambda: set(cluster.leaders(topic).values()) == {leader.number}, 30, "one leader of all")
                figures["produce", way].append(produce(ways[way], topic, options.mib))
                figures["consume", way].append(consume(ways[way], topic, options.mib))
        for (kind, way), found in figures.items():
            print(f"{kind} {way}: {', '.join(f'{each:.0f}' for each in found)} MB/s, median {statistics.median(found):.0f}")
        for kind in ("produce", "consume"):
            ratios = [b / a for a, b in zip(figures[kind, "direct"], figures[kind, "gateway"])]
            print(f"{kind}: through the gateway {statistics.median(ratios):.2f} of direct, "
                  f"pairs {', '.join(f'{ratio:.2f}' for ratio in ratios)}")


def start(cluster):
    """Two brokers, of which the second leads nothing; who comes to that one is told no other address."""
    leader = cluster.another()
    cluster.brokers.append(leader)
    gateway = cluster.another()
    cluster.brokers.append(gateway)
    leader.listeners = [
        "--listen", f"DIRECT=tcp://127.0.0.1:{leader.kafka}", "--advertise", f"DIRECT=127.0.0.1:{leader.kafka}",
        "--listen", f"AROUND=tcp://127.0.0.1:{free_port()}", "--advertise", f"AROUND=127.0.0.1:{gateway.kafka}"]
    gateway.listeners = [
        "--listen", f"AROUND=tcp://127.0.0.1:{gateway.kafka}", "--advertise", f"AROUND=127.0.0.1:{gateway.kafka}",
        "--listen", f"DIRECT=tcp://127.0.0.1:{free_port()}", "--advertise", f"DIRECT=127.0.0.1:{leader.kafka}"]
    leader.start()
    gateway.start()
    subprocess.run([program("CENOTE_BIN", "cenote"), "cluster", "drain", str(gateway.number),
                    "--admin", f"http://127.0.0.1:{gateway.http}"], check=True)
    return leader, gateway


def tool(name, *arguments):
    classes = f"{os.environ.get('KAFKA_HOME') or '.'}/libs/*"
    done = subprocess.run(["java", "-Xmx512M", "-cp", classes, f"org.apache.kafka.tools.{name}", *arguments],
                          check=True, capture_output=True, text=True)
    return done.stdout


def produce(port, topic, mib):
    said = tool("ProducerPerformance", "--topic", topic, "--num-records", str(mib * 1024), "--record-size", str(RECORD_BYTES),
                "--throughput", "-1", "--producer-props", f"bootstrap.servers=127.0.0.1:{port}", "acks=all",
                "batch.size=262144", "linger.ms=20", "buffer.memory=134217728")
    return float(re.findall(r"\(([0-9.]+) MB/sec\)", said)[-1])


def consume(port, topic, mib):
    said = tool("ConsumerPerformance", "--bootstrap-server", f"127.0.0.1:{port}", "--topic", topic,
                "--num-records", str(mib * 1024))
    return float(said.strip().splitlines()[-1].split(",")[8])


if __name__ == "__main__":
    main()
