//! Kafka over QUIC: the same promises as over TCP, one Kafka connection a stream.

use crate::support::quic::{QuicClient, QuicStream};
use crate::support::requests::{
    AT_ONCE, FETCH_BY_NAME, PRODUCE_BY_NAME, Topic, api_versions, fetch_one, produce_request, text,
};
use crate::support::{Batch, Broker, NONE, parse_batches};
use kafka_protocol::messages::DescribeClusterRequest;

async fn connect(broker: &Broker) -> QuicClient {
    QuicClient::connect(broker.quic(), "kafka").await.expect("a QUIC connection")
}

async fn produce(stream: &mut QuicStream, topic: &Topic, batch: &Batch) -> i64 {
    let answer = stream.call(PRODUCE_BY_NAME, &produce_request(&topic.name, 0, -1, batch.encode())).await;
    let part = &answer.responses[0].partition_responses[0];
    assert_eq!(part.error_code, NONE);
    part.base_offset
}

async fn fetch(stream: &mut QuicStream, topic: &Topic) -> Vec<Vec<u8>> {
    let mut answer = stream.call(FETCH_BY_NAME, &fetch_one(&topic.name, 0, AT_ONCE)).await;
    let data = answer.responses.remove(0).partitions.remove(0);
    assert_eq!(data.error_code, NONE);
    parse_batches(&data.records.unwrap_or_default()).iter().flat_map(|batch| batch.values()).collect()
}

#[tokio::test]
async fn records_produced_over_quic_are_read_over_quic_and_over_tcp() {
    let broker = Broker::start();
    let topic = broker.connect().create_topic("quic");
    let client = connect(&broker).await;
    let mut stream = client.open().await;
    assert_eq!(produce(&mut stream, &topic, &Batch::numbered("q", 3)).await, 0);
    assert_eq!(fetch(&mut stream, &topic).await, [b"q-0", b"q-1", b"q-2"]);
    assert_eq!(broker.connect().all_values(&topic), ["q-0", "q-1", "q-2"]);
}

#[tokio::test]
async fn each_stream_is_a_connection_of_its_own() {
    let broker = Broker::start();
    let topic = broker.connect().create_topic("streams");
    let client = connect(&broker).await;
    let mut bad = client.open().await;
    let mut good = client.open().await;
    bad.send_bytes(&i32::MAX.to_be_bytes()).await;
    assert!(bad.read_frame().await.is_none(), "only that stream is closed");
    assert_eq!(produce(&mut good, &topic, &Batch::numbered("q", 1)).await, 0);
    let mut third = client.open().await;
    assert_eq!(fetch(&mut third, &topic).await, [b"q-0"]);
}

#[tokio::test]
async fn a_stream_is_answered_while_another_waits() {
    let broker = Broker::start();
    let topic = broker.connect().create_topic("waiting");
    let client = connect(&broker).await;
    let mut reader = client.open().await;
    let mut writer = client.open().await;
    let limits = crate::support::requests::FetchLimits { max_wait_ms: 20_000, min_bytes: 1, ..AT_ONCE };
    let request = fetch_one(&topic.name, 0, limits);
    let began = std::time::Instant::now();
    let batch = Batch::numbered("late", 1);
    let (answer, offset) =
        tokio::join!(reader.call(FETCH_BY_NAME, &request), produce(&mut writer, &topic, &batch));
    assert_eq!(offset, 0);
    assert!(answer.responses[0].partitions[0].records.as_ref().is_some_and(|records| !records.is_empty()));
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "woken, not timed out");
}

#[tokio::test]
async fn what_quic_acknowledged_survives_a_kill() {
    let mut broker = Broker::start();
    let topic = broker.connect().create_topic("durable");
    for round in 0..3 {
        let client = connect(&broker).await;
        let mut stream = client.open().await;
        assert_eq!(produce(&mut stream, &topic, &Batch::numbered("q", 2)).await, round * 2);
        broker.kill_and_restart();
    }
    assert_eq!(broker.connect().all_values(&topic).len(), 6);
}

#[tokio::test]
async fn clients_over_quic_are_told_its_port() {
    let broker = Broker::start();
    let client = connect(&broker).await;
    let mut stream = client.open().await;
    let answer = stream.call(1, &DescribeClusterRequest::default().with_endpoint_type(1)).await;
    assert_eq!(answer.brokers[0].port, i32::from(broker.quic().port()));
    let versions = stream.call(3, &api_versions().with_client_software_name(text("quic"))).await;
    assert_eq!(versions.error_code, NONE);
}

#[tokio::test]
async fn another_protocol_is_refused() {
    let broker = Broker::start();
    let refused = QuicClient::connect(broker.quic(), "h3").await;
    assert!(refused.is_err(), "only ALPN `kafka` is spoken");
    connect(&broker).await;
}

#[tokio::test]
async fn a_clean_stop_closes_quic_connections() {
    let mut broker = Broker::start();
    let client = connect(&broker).await;
    let mut stream = client.open().await;
    assert_eq!(stream.call(3, &api_versions()).await.error_code, NONE);
    assert_eq!(broker.stop("TERM").code(), Some(0));
    let why = tokio::time::timeout(std::time::Duration::from_secs(30), client.closed()).await;
    assert!(why.is_ok(), "the client is told");
}
