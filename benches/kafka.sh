#!/usr/bin/env bash
# kafka.sh: Kafka's own load tools against Cenote and against Apache Kafka, in turn, on this machine.
#
# Both brokers are started here, each on a fresh temporary directory on the same disk: Cenote as `cenote serve`
# with its embedded defaults (an acknowledged record is fsynced), Apache Kafka as it is shipped (it is not; set
# KAFKA_FSYNC=1 to compare with a Kafka that flushes every batch). Each measurement is taken N times, the
# brokers alternating, and printed as medians with the ratio Cenote / Kafka.
#
# Topics stay until the end, and nothing else should have deleted many files on that disk in the last minutes: ext4
# without a journal, as in some virtual machines, does not use the inodes of deleted files again for minutes, and
# whoever creates a file there searches past all of them. That was up to 40 % of Cenote's CPU seconds.
#
# Needs: Linux, java 17 or later, KAFKA_HOME (a directory of an Apache Kafka installation, with libs/).
# Settings (environment):
#   KAFKA_HOME     where Apache Kafka lies; required
#   CENOTE_BIN     the binary; default: target/release of this repository, built if CENOTE_BIN is not set
#   BROKERS        "cenote kafka"
#   N              runs of each measurement, default 3
#   MIB            payload of an unlimited run, default 300
#   LATENCY_S      seconds of the rate-limited run, default 15
#   PARTITIONS     partitions of the many-partitions run, default 1000
#   PARTITIONED    records of the many-partitions run, default 100000
#   ONLY           names of measurements to take, such as "p1k lat"; default: p1k p100 p256 lat consume one parts
#   BENCH_TMP      where data lies while it runs, 10 GiB with the defaults; default: below TMPDIR or /tmp
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(dirname "$here")"
N="${N:-3}" MIB="${MIB:-300}" LATENCY_S="${LATENCY_S:-15}"
PARTITIONS="${PARTITIONS:-1000}" PARTITIONED="${PARTITIONED:-100000}"
BROKERS="${BROKERS:-cenote kafka}" ONLY="${ONLY:-p1k p100 p256 lat consume one parts}"
hz="$(getconf CLK_TCK)"

fail() { printf 'kafka.sh: %s\n' "$*" >&2; exit 1; }
say() { printf '%s\n' "$*" >&2; }

[ -n "${KAFKA_HOME:-}" ] || fail "KAFKA_HOME is not set: the directory of an Apache Kafka installation (with libs/)"
ls "$KAFKA_HOME"/libs/kafka-clients-*.jar >/dev/null 2>&1 || fail "KAFKA_HOME=$KAFKA_HOME has no libs/kafka-clients-*.jar"
command -v java >/dev/null || fail "java is not on the PATH"
class_path="$KAFKA_HOME/libs/*"

tmp="$(mktemp -d "${BENCH_TMP:-${TMPDIR:-/tmp}}/cenote-bench.XXXXXX")"
declare -A pid port
stop_all() {
  local broker
  for broker in "${!pid[@]}"; do
    kill -TERM "${pid[$broker]}" 2>/dev/null || continue
    wait "${pid[$broker]}" 2>/dev/null || true
  done
  rm -rf "$tmp"
}
trap stop_all EXIT
trap 'exit 130' INT TERM

cat > "$tmp/log4j2.yaml" <<'YAML'
Configuration:
  Appenders:
    Console: {name: STDERR, target: SYSTEM_ERR, PatternLayout: {pattern: "[%d] %p %m (%c)%n"}}
  Loggers:
    Root: {level: ERROR, AppenderRef: {ref: STDERR}}
YAML

# jvm HEAP CLASS ARGS...: one of Kafka's classes with the flags Kafka's own scripts give
jvm() {
  local heap="$1"; shift
  java -Xms"$heap" -Xmx"$heap" -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -Djava.awt.headless=true \
    -Dlog4j2.configurationFile="$tmp/log4j2.yaml" -Dkafka.logs.dir="$tmp" -cp "$class_path" "$@"
}

free_port() { # a port that nobody listens on
  local candidate
  for candidate in $(shuf -i 12000-30000 -n 50); do
    (exec 3<>"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null || { echo "$candidate"; return; }
  done
  fail "no free port"
}

wait_for_line() { # FILE PATTERN PID
  local left=600
  until grep -q "$2" "$1" 2>/dev/null; do
    kill -0 "$3" 2>/dev/null || { tail -20 "$1" >&2; fail "the broker ended; its output is above"; }
    left=$((left - 1)); [ "$left" -gt 0 ] || { tail -20 "$1" >&2; fail "the broker is not ready after 60 s"; }
    sleep 0.1
  done
}

start_cenote() {
  if [ -z "${CENOTE_BIN:-}" ]; then
    (cd "$root" && cargo build --release --locked)
    CENOTE_BIN="${CARGO_TARGET_DIR:-$root/target}/release/cenote"
  fi
  [ -x "$CENOTE_BIN" ] || fail "CENOTE_BIN=$CENOTE_BIN is not a program"
  port[cenote]="$(free_port)"; cenote_http="$(free_port)"
  "$CENOTE_BIN" serve --data "$tmp/cenote" --listen "tcp://127.0.0.1:${port[cenote]}" \
    --http "127.0.0.1:$cenote_http" > "$tmp/cenote.log" 2>&1 &
  pid[cenote]=$!
  wait_for_line "$tmp/cenote.log" '^ *ready' "${pid[cenote]}"
}

start_kafka() {
  local controller
  port[kafka]="$(free_port)"; controller="$(free_port)"
  cat > "$tmp/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:$controller
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:${port[kafka]},CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:${port[kafka]}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$tmp/kafka
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
PROPERTIES
  [ "${KAFKA_FSYNC:-0}" = 0 ] || echo "log.flush.interval.messages=1" >> "$tmp/server.properties"
  local cluster
  cluster="$(jvm 256M kafka.tools.StorageTool random-uuid)"
  jvm 256M kafka.tools.StorageTool format -t "$cluster" -c "$tmp/server.properties" --standalone > "$tmp/format.log" 2>&1 \
    || { cat "$tmp/format.log" >&2; fail "cannot format Kafka's storage"; }
  sed 's/level: ERROR/level: INFO/' "$tmp/log4j2.yaml" > "$tmp/server-log4j2.yaml"
  # The process itself, not a subshell around it: its CPU seconds and its memory are measured.
  java -Xms1G -Xmx1G -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 -Djava.awt.headless=true \
    -Dlog4j2.configurationFile="$tmp/server-log4j2.yaml" -Dkafka.logs.dir="$tmp" -cp "$class_path" \
    kafka.Kafka "$tmp/server.properties" > "$tmp/kafka.log" 2>&1 &
  pid[kafka]=$!
  wait_for_line "$tmp/kafka.log" 'Kafka Server started' "${pid[kafka]}"
}

cpu_ticks() { awk '{print $14 + $15}' "/proc/${pid[$1]}/stat"; }
peak_rss_mib() { awk '/VmHWM/ {printf "%.0f", $2 / 1024}' "/proc/${pid[$1]}/status"; }
puts_so_far() { # what Cenote counts, else nothing
  [ "$1" = cenote ] || return 0
  { exec 3<>"/dev/tcp/127.0.0.1/$cenote_http"; } 2>/dev/null || return 0
  printf 'GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n' >&3
  awk '/^cenote_journal_put_seconds_count/ {sum += $2; seen = 1} END {if (seen) printf "%d", sum}' <&3
  exec 3>&-
}

note() { # BROKER MEASURE VALUE
  [ -n "$3" ] || return 0
  mkdir -p "$tmp/samples/$1"; echo "$3" >> "$tmp/samples/$1/$2"
}
median() { # BROKER MEASURE
  [ -f "$tmp/samples/$1/$2" ] || return 0
  sort -g "$tmp/samples/$1/$2" | awk '{v[NR] = $1} END {print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'
}

create_topic() { # BROKER TOPIC PARTITIONS
  jvm 256M org.apache.kafka.tools.TopicCommand --bootstrap-server "127.0.0.1:${port[$1]}" --create \
    --topic "$2" --partitions "$3" --replication-factor 1 > "$tmp/topic.log" 2>&1 \
    || { cat "$tmp/topic.log" >&2; fail "$1: cannot create topic $2"; }
}
# produce BROKER TOPIC RECORD_BYTES COUNT RATE SETTINGS...: prints "records/s MB/s p50 p99 p99.9"
produce() {
  local broker="$1" topic="$2" bytes="$3" count="$4" rate="$5"; shift 5
  timeout 600 env java -Xms512M -Xmx512M -XX:+UseG1GC -Dlog4j2.configurationFile="$tmp/log4j2.yaml" -cp "$class_path" \
    org.apache.kafka.tools.ProducerPerformance --topic "$topic" --num-records "$count" --record-size "$bytes" \
    --throughput "$rate" --producer-props bootstrap.servers="127.0.0.1:${port[$broker]}" acks=all "$@" > "$tmp/produce.log" 2>&1 \
    || { tail -5 "$tmp/produce.log" >&2; fail "$broker: producer-perf failed"; }
  sed -nE 's/^[0-9]+ records sent, ([0-9.]+) records\/sec \(([0-9.]+) MB\/sec\).* ([0-9]+) ms 50th, [0-9]+ ms 95th, ([0-9]+) ms 99th, ([0-9]+) ms 99\.9th.*/\1 \2 \3 \4 \5/p' \
    "$tmp/produce.log" | tail -1
}

# measured NAME BROKER RECORD_BYTES COUNT RATE PARTITIONS SETTINGS...: one produce run with its cost
measured() {
  local name="$1" broker="$2" bytes="$3" count="$4" rate="$5" partitions="$6" topic ticks puts result; shift 6
  topic="$name-$RANDOM$RANDOM"
  create_topic "$broker" "$topic" "$partitions"
  ticks="$(cpu_ticks "$broker")"; puts="$(puts_so_far "$broker")"
  result="$(produce "$broker" "$topic" "$bytes" "$count" "$rate" "$@")"
  [ -n "$result" ] || { tail -5 "$tmp/produce.log" >&2; fail "$broker: cannot read what producer-perf printed"; }
  ticks=$(($(cpu_ticks "$broker") - ticks))
  # shellcheck disable=SC2086
  set -- $result
  note "$broker" "$name.rate" "$1"; note "$broker" "$name.mb" "$2"
  note "$broker" "$name.p50" "$3"; note "$broker" "$name.p99" "$4"; note "$broker" "$name.p999" "$5"
  note "$broker" "$name.cpu" "$(awk -v t="$ticks" -v h="$hz" -v b="$((bytes * count))" 'BEGIN {printf "%.3f", t / h / (b / 2^30)}')"
  [ -z "$puts" ] || note "$broker" "$name.puts" "$(($(puts_so_far "$broker") - puts))"
  say "  $broker $name: $1 records/s, $2 MB/s, p50 $3 ms, p99 $4 ms"
  if [ "$name" = p1k ] && wanted consume; then consume_it "$broker" "$topic" "$count"; fi
}

consume_it() { # BROKER TOPIC COUNT: reads what was just produced
  local broker="$1" ticks result
  ticks="$(cpu_ticks "$broker")"
  result="$(timeout 600 java -Xms512M -Xmx512M -XX:+UseG1GC -Dlog4j2.configurationFile="$tmp/log4j2.yaml" -cp "$class_path" \
    "$here/ConsumerPerf.java" "127.0.0.1:${port[$broker]}" "$2" "$3")" || fail "$broker: the consumer failed"
  ticks=$(($(cpu_ticks "$broker") - ticks))
  # shellcheck disable=SC2086
  set -- $result
  note "$broker" consume.mb "$(awk -v m="$1" -v s="$3" 'BEGIN {printf "%.2f", m / s}')"
  note "$broker" consume.rate "$(awk -v r="$2" -v s="$3" 'BEGIN {printf "%.0f", r / s}')"
  note "$broker" consume.cpu "$(awk -v t="$ticks" -v h="$hz" -v m="$1" 'BEGIN {printf "%.3f", t / h / (m / 1024)}')"
  say "  $broker consume: $1 MB in $3 s"
}

wanted() { case " $ONLY " in *" $1 "*) return 0 ;; esac; return 1; }

take() { # NAME: one sample of a measurement from each broker, in the order of $order
  local broker
  wanted "$1" || return 0
  for broker in $order; do
    case "$1" in
      p1k) measured p1k "$broker" 1024 $((MIB * 1024)) -1 6 ;;
      p100) measured p100 "$broker" 100 $((MIB * 1048576 / 100 / 3)) -1 6 ;;
      p256) measured p256 "$broker" 1024 $((MIB * 1024)) -1 6 batch.size=262144 linger.ms=10 buffer.memory=67108864 ;;
      lat) measured lat "$broker" 1024 $((10240 * LATENCY_S)) 10240 6 ;;
      one) measured one "$broker" 1024 "$PARTITIONED" -1 1 ;;
      parts) measured parts "$broker" 1024 "$PARTITIONED" -1 "$PARTITIONS" ;;
    esac
  done
}

row() { # LABEL MEASURE FORMAT
  local ours theirs
  ours="$(median cenote "$2")"; theirs="$(median kafka "$2")"
  [ -n "$ours$theirs" ] || return 0
  awk -v l="$1" -v a="$ours" -v b="$theirs" -v f="$3" 'BEGIN {
    x = (a == "") ? "-" : sprintf(f, a); y = (b == "") ? "-" : sprintf(f, b)
    r = (a == "" || b == "" || b == 0) ? "-" : sprintf("%.2f", a / b)
    printf "| %s | %s | %s | %s |\n", l, x, y, r}'
}

report() {
  echo "Medians of $N, $(nproc) cores, $(java -version 2>&1 | head -1), Kafka fsync: ${KAFKA_FSYNC:-0}, $(date -u +%F)"
  echo
  echo "| measurement | Cenote | Apache Kafka | Cenote / Kafka |"
  echo "| --- | ---: | ---: | ---: |"
  local name label
  for name in p1k p256 p100; do
    case "$name" in
      p1k) label="produce 1 KiB" ;; p256) label="produce 1 KiB, 256 KiB batches" ;; p100) label="produce 100 B" ;;
    esac
    row "$label, MB/s" "$name.mb" "%.1f"; row "$label, records/s" "$name.rate" "%.0f"
    row "$label, p99 ms" "$name.p99" "%.0f"; row "$label, broker CPU s per GiB" "$name.cpu" "%.2f"
    row "$label, PUTs" "$name.puts" "%d"
  done
  row "10 MB/s of 1 KiB, p50 ms" lat.p50 "%.0f"; row "10 MB/s of 1 KiB, p99 ms" lat.p99 "%.0f"
  row "10 MB/s of 1 KiB, p99.9 ms" lat.p999 "%.0f"; row "10 MB/s of 1 KiB, broker CPU s per GiB" lat.cpu "%.2f"
  row "10 MB/s of 1 KiB, PUTs" lat.puts "%d"
  row "consume 1 KiB, MB/s" consume.mb "%.1f"; row "consume 1 KiB, records/s" consume.rate "%.0f"
  row "consume 1 KiB, broker CPU s per GiB" consume.cpu "%.2f"
  row "$PARTITIONED records to one new partition, records/s" one.rate "%.0f"
  row "$PARTITIONED records to one new partition, PUTs" one.puts "%d"
  row "$PARTITIONED records over $PARTITIONS new partitions, records/s" parts.rate "%.0f"
  row "$PARTITIONED records over $PARTITIONS new partitions, PUTs" parts.puts "%d"
  row "peak RSS, MiB" rss "%.0f"
}

for broker in $BROKERS; do say "starting $broker"; "start_$broker"; done
for broker in $BROKERS; do # warm: a JVM is slow at first, and neither should pay for it in the first sample
  create_topic "$broker" warm 6
  produce "$broker" warm 1024 100000 -1 >/dev/null
done
order="$BROKERS"
for ((run = 1; run <= N; run++)); do
  say "run $run of $N ($order)"
  for name in p1k p256 p100 lat one parts; do take "$name"; done
  order="$(printf '%s\n' $order | tac | tr '\n' ' ')"
done
for broker in $BROKERS; do note "$broker" rss "$(peak_rss_mib "$broker")"; done
report
