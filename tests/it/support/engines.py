"""What engines other than Cenote read in a topic's files, which come on standard input, a path a line.

    engines.py versions              the engines' versions; fails if one is missing
    engines.py read ENGINE [bytes]   the records; bytes: of files that differ in whether keys or values are text
    engines.py sum FIELD             the sum over a field of the values, which are JSON and stored as text

A record is a line, by partition and offset:

    partition, offset, timestamp in microseconds, type of the timestamp, key, value, headers

between tabs, bytes as hexadecimal digits, null as `-`, headers as NAME=VALUE between commas, in their order.
"""

import sys

COLUMNS = [
    "kafka_partition",
    "kafka_offset",
    "kafka_timestamp",
    "kafka_timestamp_type",
    "key",
    "value",
    "headers",
]
BYTES = ["key", "value"]


def duckdb_rows(files, as_bytes):
    import duckdb

    micros = [f"epoch_us({name})" if name == "kafka_timestamp" else name for name in COLUMNS]
    query = f"SELECT {', '.join(micros)} FROM read_parquet(?) ORDER BY kafka_partition, kafka_offset"
    # A cast from text takes "\xff" for one byte and refuses letters that are not ASCII: file by file there is none.
    for table in [[file] for file in files] if as_bytes else [files]:
        found = duckdb.connect().execute(query, [table])
        while rows := found.fetchmany(1_000):
            yield from rows


def pyarrow_rows(files, as_bytes):
    import pyarrow
    import pyarrow.dataset

    topic = pyarrow.dataset.dataset(files, format="parquet")
    if as_bytes:
        fields = [field.with_type(pyarrow.binary()) if field.name in BYTES else field for field in topic.schema]
        topic = pyarrow.dataset.dataset(files, pyarrow.schema(fields), format="parquet")
    found = topic.to_table(columns=COLUMNS)
    micros = found.column("kafka_timestamp").cast(pyarrow.int64())
    found = found.set_column(COLUMNS.index("kafka_timestamp"), "kafka_timestamp", micros)
    found = found.sort_by([("kafka_partition", "ascending"), ("kafka_offset", "ascending")])
    for row in found.to_pylist():
        yield [row[name] for name in COLUMNS]


def polars_rows(files, as_bytes):
    import polars

    if as_bytes:
        binary = polars.col(BYTES).cast(polars.Binary)
        found = polars.concat(polars.scan_parquet(file).with_columns(binary) for file in files).select(COLUMNS)
    else:
        found = polars.scan_parquet(files).select(COLUMNS)
    found = found.with_columns(polars.col("kafka_timestamp").dt.timestamp("us"))
    yield from found.sort("kafka_partition", "kafka_offset").collect().iter_rows()


READERS = {"duckdb": duckdb_rows, "pyarrow": pyarrow_rows, "polars": polars_rows}


def digits(field):
    if field is None:
        return "-"
    return (field.encode() if isinstance(field, str) else bytes(field)).hex()


def line(row):
    partition, offset, micros, timestamp_type, key, value, headers = row
    headers = ",".join(f"{digits(header['key'])}={digits(header['value'])}" for header in headers)
    fields = [partition, offset, micros, timestamp_type, digits(key), digits(value), headers]
    return "\t".join(str(field) for field in fields)


def read(engine, files, as_bytes):
    for row in READERS[engine](files, as_bytes):
        print(line(row))


def total(field, files):
    import duckdb

    query = "SELECT sum((value->>?)::BIGINT) FROM read_parquet(?)"
    (found,) = duckdb.connect().execute(query, [f"$.{field}", files]).fetchone()
    print(found)


def main(command, *arguments):
    if command == "versions":
        print(*(f"{name} {__import__(name).__version__}" for name in READERS), sep="\n")
        return
    files = sys.stdin.read().splitlines()
    if command == "read":
        engine, *how = arguments
        read(engine, files, how == ["bytes"])
    elif command == "sum":
        total(*arguments, files)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["help"]))
