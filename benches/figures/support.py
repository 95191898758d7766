"""What the figures share: servers as processes on free ports, a load with its answers, and what is read off both."""

import os
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections import defaultdict
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

HERE = Path(__file__).resolve().parent
BUCKET = "bucket"


def program(variable, name):
    """The program that a variable names, else the one on the PATH."""
    found = os.environ.get(variable) or shutil.which(name)
    if not found:
        raise SystemExit(f"{name} is not on the PATH; {variable} can name it")
    return str(Path(found).resolve())


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def await_that(condition, seconds, what):
    """What the condition returns once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {seconds} s: {what}")
        time.sleep(0.02)
    return found


def accepts(port):
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def http(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return answer.read().decode()


def metric(port, name):
    """The sum of a metric over its labels."""
    lines = [line for line in http(port, "/metrics").splitlines() if line.startswith(name)]
    return sum(float(line.split()[-1]) for line in lines if line[len(name)] in " {")


class Process:
    """A server with its output in a file."""

    def __init__(self, arguments, log, environment=None):
        self.log = open(log, "ab")
        # A group of its own: what ends the script by keyboard does not end it before the others. Not a session of its own: where
        # the kernel schedules sessions against each other, priorities of programs would say nothing.
        self.child = subprocess.Popen(
            arguments, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL, process_group=0,
            env={**os.environ, **(environment or {})})

    def kill(self, how=signal.SIGKILL):
        if self.child.poll() is None:
            self.child.send_signal(how)
        self.child.wait()

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self, peak=False):
        name = "VmHWM:" if peak else "VmRSS:"
        for line in Path(f"/proc/{self.child.pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) / 1024
        raise SystemExit("no memory told")


class Etcd:
    def __init__(self, folder, members=3):
        ports = [(free_port(), free_port()) for _ in range(members)]
        cluster = ",".join(f"e{n}=http://127.0.0.1:{peer}" for n, (_, peer) in enumerate(ports))
        self.ports = [client for client, _ in ports]
        self.members = [
            Process([program("ETCD_BIN", "etcd"), "--name", f"e{n}", "--data-dir", f"{folder}/etcd-{n}",
                     "--log-level", "error", "--initial-cluster", cluster,
                     "--listen-client-urls", f"http://127.0.0.1:{client}",
                     "--advertise-client-urls", f"http://127.0.0.1:{client}",
                     "--listen-peer-urls", f"http://127.0.0.1:{peer}",
                     "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}"], f"{folder}/etcd-{n}.log")
            for n, (client, peer) in enumerate(ports)]
        await_that(lambda: all(map(accepts, self.ports)), 30, "etcd")
        await_that(lambda: "true" in http(self.ports[0], "/health"), 30, "etcd's health")

    @property
    def url(self):
        return "etcd://" + ",".join(f"127.0.0.1:{port}" for port in self.ports) + "/figures"

    def metric(self, name):
        return metric(self.ports[0], name)


class Store:
    """MinIO with one bucket."""

    def __init__(self, folder):
        self.port = free_port()
        (Path(folder) / "minio" / BUCKET).mkdir(parents=True)
        self.process = Process(
            [program("MINIO_BIN", "minio"), "server", "--quiet", "--address", f"127.0.0.1:{self.port}", f"{folder}/minio"],
            f"{folder}/minio.log",
            {"MINIO_ROOT_USER": "cenote", "MINIO_ROOT_PASSWORD": "cenote-secret", "MINIO_BROWSER": "off"})
        await_that(lambda: accepts(self.port), 30, "MinIO")
        self.environment = {
            "AWS_ACCESS_KEY_ID": "cenote", "AWS_SECRET_ACCESS_KEY": "cenote-secret",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}", "CENOTE_STORE": f"s3://{BUCKET}/prefix"}


class Broker:
    def __init__(self, number, folder, environment, arguments, is_alone=False):
        self.is_alone = is_alone
        self.number, self.folder, self.environment, self.arguments = number, folder, environment, arguments
        self.kafka, self.http, self.mesh = free_port(), free_port(), free_port()
        self.process = None
        # More than the one at `kafka`, if it has any.
        self.listeners = []

    def start(self):
        mesh = [] if self.is_alone else ["--mesh-listen", f"127.0.0.1:{self.mesh}"]
        self.process = Process(
            [program("CENOTE_BIN", "cenote"), "serve", "--broker-id", str(self.number),
             "--data", f"{self.folder}/cenote-{self.number}", "--http", f"127.0.0.1:{self.http}", *mesh, *(self.listeners or ["--listen", f"tcp://127.0.0.1:{self.kafka}"]),
             *self.arguments],
            f"{self.folder}/cenote-{self.number}.log", self.environment)
        await_that(self.is_ready, 120, f"broker {self.number}")

    def is_ready(self):
        if self.process.child.poll() is not None:
            raise SystemExit(f"broker {self.number} ended; see {self.process.log.name}")
        try:
            return http(self.http, "/readyz") is not None
        except OSError:
            return False


class Cluster:
    """etcd, a store, and brokers, below one temporary directory; used with `with`."""

    def __init__(self, brokers, arguments=(), etcd_members=3, root=None):
        self.folder = tempfile.mkdtemp(prefix="cenote-figures-", dir=root)
        self.arguments = list(arguments)
        self.etcd = Etcd(self.folder, etcd_members)
        self.store = Store(self.folder)
        self.environment = {**self.store.environment, "CENOTE_METADATA": self.etcd.url,
                            "CENOTE_CLUSTER_SECRET": "figures-" * 4}
        self.brokers = []
        for _ in range(brokers):
            self.join()

    def join(self):
        broker = self.another()
        broker.start()
        self.brokers.append(broker)
        return broker

    def another(self):
        """One more broker, which is not started yet."""
        return Broker(len(self.brokers) + 1, self.folder, self.environment, self.arguments)

    @property
    def bootstrap(self):
        return ",".join(f"127.0.0.1:{broker.kafka}" for broker in self.brokers)

    def admin(self):
        return AdminClient({"bootstrap.servers": self.bootstrap, "broker.address.family": "v4"})

    def create(self, topic, partitions, timeout=300):
        new = NewTopic(topic, num_partitions=partitions, replication_factor=1)
        admin = self.admin()
        admin.create_topics([new], request_timeout=timeout)[topic].result()

    def leaders(self, topic):
        """The broker of each partition."""
        partitions = self.admin().list_topics(topic, timeout=60).topics[topic].partitions
        return {number: partition.leader for number, partition in partitions.items()}

    def is_balanced(self, topic, brokers):
        """Whether each of so many brokers leads something, and all is led."""
        leaders = self.leaders(topic)
        return min(leaders.values()) > 0 and len(set(leaders.values())) == brokers

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        for broker in self.brokers:
            if broker.process:
                broker.process.kill()
        self.store.process.kill()
        for member in self.etcd.members:
            member.kill()
        if os.environ.get("KEEP"):
            print(f"kept: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


class Load:
    """Kafka's Java producer at a steady rate; its answers when it has ended."""

    def __init__(self, cluster, topic, partitions, rate=5_000_000, record_bytes=1024, settings=()):
        home = os.environ.get("KAFKA_HOME") or "."
        libraries = f"{home}/libs/*"
        self.file = Path(cluster.folder) / f"answers-{topic}"
        self.log = open(f"{cluster.folder}/load.log", "ab")
        self.child = subprocess.Popen(
            ["java", "-Xms512M", "-Xmx512M", "-cp", libraries, str(HERE / "Load.java"), cluster.bootstrap, topic,
             str(partitions), str(rate), str(record_bytes), str(self.file), *settings],
            stdin=subprocess.PIPE, stdout=self.log, stderr=self.log, process_group=0)
        await_that(lambda: self.file.exists() and self.file.stat().st_size > 0, 60, f"an answer; see {self.log.name}")

    def end(self):
        self.child.communicate(b"\n", timeout=300)
        return Answers(self.file)


class Answers:
    """What the load was told, of each partition in the order of the answers."""

    def __init__(self, file):
        self.acknowledged = defaultdict(list)
        self.times = defaultdict(list)
        self.refused = 0
        for line in open(file):
            partition, number, offset, _sent, answered = map(int, line.split())
            if offset < 0:
                self.refused += 1
                continue
            self.acknowledged[partition].append((number, offset))
            self.times[partition].append(answered / 1e3)
        for times in self.times.values():
            times.sort()

    def count(self):
        return sum(map(len, self.acknowledged.values()))

    def pause(self, partition, since, until):
        """The longest time without an answer between the two, and when it ended."""
        times = [time for time in self.times[partition] if since - 1 <= time <= until]
        gaps = [(after - before, after) for before, after in zip(times, times[1:]) if after > since]
        return max(gaps, default=(until - since, until))

    def check(self, cluster, topic):
        """What became of all that was acknowledged, read back from the first offset on."""
        reader = Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": "check", "enable.auto.commit": False,
                           "isolation.level": "read_committed", "broker.address.family": "v4"})
        ends = {each: reader.get_watermark_offsets(TopicPartition(topic, each), timeout=60)[1] for each in self.acknowledged}
        reader.assign([TopicPartition(topic, each, 0) for each in ends])
        places, last = {each: defaultdict(list) for each in ends}, defaultdict(lambda: -1)
        disordered = read = 0
        left = {each for each, end in ends.items() if end > 0}
        while left:
            for message in reader.consume(10_000, timeout=1):
                if message.error():
                    continue
                each, number = message.partition(), int.from_bytes(message.value()[:8], "big")
                places[each][number].append(message.offset())
                disordered += number < last[each]
                last[each], read = number, read + 1
                if message.offset() + 1 >= ends[each]:
                    left.discard(each)
        lost = moved = doubled = 0
        for each, acknowledged in self.acknowledged.items():
            lost += sum(number not in places[each] for number, _ in acknowledged)
            moved += sum(offset not in places[each][number] for number, offset in acknowledged if number in places[each])
            doubled += sum(len(offsets) > 1 for offsets in places[each].values())
        reader.close()
        return f"{self.count()} acknowledged, {read} read: {lost} lost, {doubled} doubled, {moved} moved, " \
               f"{disordered} out of order, {self.refused} refused"


def spread(values):
    """Median, 90th percentile and worst, in milliseconds."""
    ordered = sorted(values)
    ninth = ordered[min(len(ordered) - 1, int(len(ordered) * 0.9))]
    return f"median {statistics.median(ordered) * 1e3:.0f} ms, p90 {ninth * 1e3:.0f}, worst {ordered[-1] * 1e3:.0f}"
