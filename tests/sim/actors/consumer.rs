//! Consumers of partitions that they were given once and for all.

use crate::client::{Client, Lost, Topic, text};
use crate::history::{Answer, Call, Fetch, Isolation, OffsetSpec, Outcome, Reading, Role, TopicPartition};
use crate::records;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{FetchRequest, ListOffsetsRequest, TopicName};
use uuid::Uuid;

const OFFSET_OUT_OF_RANGE: i16 = 1;
const UNKNOWN_TOPIC: i16 = 3;
const UNKNOWN_TOPIC_ID: i16 = 100;

/// What is asked for in a request for one partition.
#[derive(Clone, Copy)]
pub struct Ask {
    pub from: i64,
    pub isolation: Isolation,
    pub assignment: Option<u64>,
    pub wait_ms: i32,
}

/// Follows one partition after another, from its start or from its end.
pub async fn run_assigned(mut client: Client, topic: String, isolation: Isolation) {
    client.started("assigned", Role::Reader);
    let mut assignment = 0;
    while !client.shared.is_over() {
        let Some(found) = client.await_topic(&topic).await else { break };
        let partition =
            i32::try_from(client.dice.below(u64::try_from(found.partitions).expect("some"))).expect("few");
        let place = TopicPartition { topic: found.id, partition };
        let spec =
            if client.dice.permille(800) { OffsetSpec::Earliest } else { OffsetSpec::Latest(isolation) };
        let Some(mut from) = list_offsets(&mut client, &found, place, spec).await else { continue };
        assignment += 1;
        for _ in 0..client.dice.between(5..100) {
            if client.shared.is_over() {
                break;
            }
            let wait_ms = i32::try_from(client.dice.below(500)).expect("half a second");
            match fetch(
                &mut client,
                &found,
                place,
                Ask { from, isolation, assignment: Some(assignment), wait_ms },
            )
            .await
            {
                Fetched::Read(reading) => {
                    from = reading.next;
                    client.got_on();
                }
                Fetched::OutOfRange | Fetched::Gone => break,
                Fetched::Failed => client.pause(20..200).await,
            }
            client.pause(1..100).await;
            if client.dice.permille(20) {
                // Any other broker shows the same.
                client.disconnect();
            }
        }
    }
    client.stopped();
}

/// What came of a fetch.
pub enum Fetched {
    Read(Reading),
    OutOfRange,
    Gone,
    Failed,
}

pub async fn fetch(client: &mut Client, topic: &Topic, place: TopicPartition, ask: Ask) -> Fetched {
    client.connected().await;
    let Ask { from, isolation, assignment, wait_ms } = ask;
    let call = client.begins(Call::Fetch(Fetch { place, from, isolation, partitions: 1, assignment }));
    let partition = FetchPartition::default()
        .with_partition(place.partition)
        .with_fetch_offset(from)
        .with_current_leader_epoch(-1)
        .with_last_fetched_epoch(-1)
        .with_log_start_offset(-1)
        .with_partition_max_bytes(i32::try_from(client.dice.between(100..100_000)).expect("small"));
    let wanted =
        FetchTopic::default().with_topic_id(Uuid::from_u128(topic.id.0)).with_partitions(vec![partition]);
    let request = FetchRequest::default()
        .with_replica_id((-1).into())
        .with_max_wait_ms(wait_ms)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_isolation_level(i8::from(isolation == Isolation::Committed))
        .with_session_id(0)
        .with_session_epoch(-1)
        .with_topics(vec![wanted]);
    let answer = client.ask(13, &request).await;
    let data: Option<PartitionData> =
        answer.ok().filter(|answer| answer.error_code == 0).and_then(|answer| {
            answer.responses.into_iter().next().and_then(|topic| topic.partitions.into_iter().next())
        });
    match data {
        Some(data) if data.error_code == 0 => {
            let reading = records::reading(from, isolation, &data);
            client.ends(call, Outcome::Ok(Answer::Fetched(reading.clone())));
            Fetched::Read(reading)
        }
        Some(data) => {
            client.ends(call, Outcome::Refused(data.error_code));
            match data.error_code {
                OFFSET_OUT_OF_RANGE => Fetched::OutOfRange,
                UNKNOWN_TOPIC | UNKNOWN_TOPIC_ID => Fetched::Gone,
                _ => {
                    client.disconnect();
                    Fetched::Failed
                }
            }
        }
        None => {
            client.ends(call, Outcome::Unknown);
            client.disconnect();
            Fetched::Failed
        }
    }
}

/// Where a partition begins or ends; none: nobody says.
pub async fn list_offsets(
    client: &mut Client,
    topic: &Topic,
    place: TopicPartition,
    spec: OffsetSpec,
) -> Option<i64> {
    client.connected().await;
    let call = client.begins(Call::ListOffsets { place, spec });
    let (timestamp, isolation) = match spec {
        OffsetSpec::Earliest => (-2, Isolation::Uncommitted),
        OffsetSpec::Latest(isolation) => (-1, isolation),
    };
    let partition = ListOffsetsPartition::default()
        .with_partition_index(place.partition)
        .with_current_leader_epoch(-1)
        .with_timestamp(timestamp);
    let wanted =
        ListOffsetsTopic::default().with_name(TopicName(text(&topic.name))).with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default()
        .with_replica_id((-1).into())
        .with_isolation_level(i8::from(isolation == Isolation::Committed))
        .with_topics(vec![wanted]);
    let part = match client.ask(7, &request).await {
        Ok(answer) => answer.topics.into_iter().next().and_then(|topic| topic.partitions.into_iter().next()),
        Err(Lost) => None,
    };
    match part {
        Some(part) if part.error_code == 0 => {
            client.ends(call, Outcome::Ok(Answer::Offset(part.offset)));
            Some(part.offset)
        }
        other => {
            client.ends(call, other.map_or(Outcome::Unknown, |part| Outcome::Refused(part.error_code)));
            client.disconnect();
            client.pause(20..200).await;
            None
        }
    }
}
