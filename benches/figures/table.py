"""Every record of a topic by Kafka's fetch, from offset 0 with a cold cache, against the same by SQL over its Parquet files:
equal row for row. What is produced are the rows of a Parquet file, by producers of each codec, one of them in transactions of
which some are aborted; some records have no key, no value, headers without value, or the same header twice."""

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import duckdb
import pyarrow
import pyarrow.parquet
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from support import Broker, program

TOPIC = "table"
PARTITIONS = 6
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
CHUNK = 5_000
ROWS = pyarrow.schema([
    ("kafka_partition", pyarrow.int32()), ("kafka_offset", pyarrow.int64()), ("ms", pyarrow.int64()),
    ("key", pyarrow.binary()), ("value", pyarrow.binary()), ("headers", pyarrow.string())])


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("parquet", help="a file whose rows are the values, as JSON")
    arguments.add_argument("--records", type=int, default=3_000_000)
    options = arguments.parse_args()
    folder = tempfile.mkdtemp(prefix="cenote-figures-")
    broker = Broker(1, folder, {}, ["--store", f"file://{folder}/store"], is_alone=True)
    try:
        broker.start()
        produced, aborted = produce(broker, options)
        print(f"produced {produced} records, and {aborted} in aborted transactions", flush=True)
        cenote(broker, "archive", "flush", TOPIC)
        broker.process.kill()
        shutil.rmtree(f"{folder}/cenote-1/cache", ignore_errors=True)
        broker.start()
        began = time.monotonic()
        fetched = fetch(broker, f"{folder}/fetched.parquet")
        print(f"fetched {fetched} records in {time.monotonic() - began:.0f} s", flush=True)
        compare(f"{folder}/store/topics/{TOPIC}-*/*/*.parquet", f"{folder}/fetched.parquet", produced)
        print(cenote(broker, "archive", "status", TOPIC))
    finally:
        broker.process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def cenote(broker, *arguments):
    command = [program("CENOTE_BIN", "cenote"), *arguments, "--admin", f"http://127.0.0.1:{broker.http}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


def produce(broker, options):
    bootstrap = f"127.0.0.1:{broker.kafka}"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(TOPIC, num_partitions=PARTITIONS, replication_factor=1)])[TOPIC].result()
    settings = {"bootstrap.servers": bootstrap, "linger.ms": 50, "queue.buffering.max.messages": 1_000_000}
    producers = {codec: Producer({**settings, "compression.type": codec}) for codec in CODECS}
    transactional = Producer({**settings, "compression.type": "zstd", "transactional.id": "table"})
    transactional.init_transactions(60)
    produced = aborted = 0
    for number, rows in enumerate(chunks(options)):
        is_transactional = number % 6 == 5
        producer = transactional if is_transactional else producers[CODECS[number % 6]]
        ends = [True]
        if is_transactional:
            # What is aborted comes again in the next transaction.
            ends = [False, True] if number % 12 == 11 else [True]
        for is_committed in ends:
            if is_transactional:
                producer.begin_transaction()
            for at, row in enumerate(rows):
                send(producer, number * CHUNK + at, row)
            if is_transactional:
                # What is aborted is to be in the log.
                producer.flush(120)
                (producer.commit_transaction if is_committed else producer.abort_transaction)(60)
            if is_committed:
                produced += len(rows)
            else:
                aborted += len(rows)
    for producer in producers.values():
        if producer.flush(120):
            raise SystemExit("not all was acknowledged")
    return produced, aborted


def chunks(options):
    left = options.records
    for batch in pyarrow.parquet.ParquetFile(options.parquet).iter_batches(CHUNK):
        rows = batch.slice(0, left).to_pylist()
        left -= len(rows)
        if not rows:
            return
        yield rows


def send(producer, number, row):
    value = None if number % 1009 == 0 else json.dumps(row, default=str).encode()
    key = None if number % 7 == 0 else b"" if number % 1013 == 0 else str(number % 5000).encode()
    headers = {0: None, 1: [("a", b"1"), ("a", b"2")], 2: [("empty", b""), ("none", None)]}.get(number % 11)
    while True:
        try:
            return producer.produce(TOPIC, value, key, partition=number % PARTITIONS, headers=headers)
        except BufferError:
            producer.poll(0.1)


def fetch(broker, path):
    reader = Consumer({"bootstrap.servers": f"127.0.0.1:{broker.kafka}", "group.id": "table", "enable.auto.commit": False,
                       "isolation.level": "read_committed", "enable.partition.eof": True})
    reader.assign([TopicPartition(TOPIC, partition, 0) for partition in range(PARTITIONS)])
    ended, count = set(), 0
    with pyarrow.parquet.ParquetWriter(path, ROWS) as writer:
        while len(ended) < PARTITIONS:
            rows = []
            for message in reader.consume(50_000, timeout=2):
                if message.error():
                    ended.add(message.partition())
                    continue
                headers = json.dumps([[name, None if value is None else value.decode()]
                                      for name, value in message.headers() or []])
                rows.append((message.partition(), message.offset(), message.timestamp()[1], message.key(), message.value(),
                             headers))
            if rows:
                columns = [pyarrow.array(column, field.type) for column, field in zip(zip(*rows), ROWS)]
                writer.write_table(pyarrow.table(columns, schema=ROWS))
                count += len(rows)
    reader.close()
    return count


def compare(files, fetched, produced):
    database = duckdb.connect()
    database.execute("SET memory_limit = '6GB'")
    # Headers as the consumer's are written above: JSON of pairs.
    database.execute(f"""CREATE VIEW by_sql AS SELECT kafka_partition, kafka_offset, epoch_ms(kafka_timestamp) AS ms, key, value,
        '[' || array_to_string(list_transform(coalesce(headers, []), lambda h: '[' || to_json(h.key) || ', ' ||
        coalesce(to_json(decode(h.value)), 'null') || ']'), ', ') || ']' AS headers FROM read_parquet('{files}')""")
    database.execute(f"CREATE VIEW by_kafka AS SELECT * FROM read_parquet('{fetched}')")
    count = lambda query: database.execute(f"SELECT count(*) FROM ({query})").fetchone()[0]
    here, there = count("FROM by_sql"), count("FROM by_kafka")
    missing, more = count("FROM by_kafka EXCEPT ALL FROM by_sql"), count("FROM by_sql EXCEPT ALL FROM by_kafka")
    nulls = count("FROM by_sql WHERE key IS NULL"), count("FROM by_sql WHERE value IS NULL"), count(
        "FROM by_sql WHERE key = ''::BLOB"), count("FROM by_sql WHERE headers <> '[]'")
    print(f"by SQL {here}, by Kafka {there}, produced {produced}; by Kafka alone {missing}, by SQL alone {more}; "
          f"without key {nulls[0]}, without value {nulls[1]}, empty keys {nulls[2]}, with headers {nulls[3]}")
    if missing or more or here != produced or there != produced:
        raise SystemExit("they differ")


if __name__ == "__main__":
    main()
