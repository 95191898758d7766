//! Reads everything that is there when all is over.

use super::consumer::{Ask, Fetched, fetch, list_offsets};
use crate::client::Client;
use crate::history::{Fact, Isolation, OffsetSpec, Reading, TopicPartition};

pub async fn read_all(mut client: Client, topics: Vec<String>) {
    for name in topics {
        let Some(topic) = client.topic(&name).await else { continue };
        for partition in 0..topic.partitions {
            let place = TopicPartition { topic: topic.id, partition };
            for isolation in [Isolation::Uncommitted, Isolation::Committed] {
                let mut whole = None;
                while whole.is_none() {
                    whole = read(&mut client, &topic, place, isolation).await;
                }
                let reading = whole.expect("just read");
                client.fact(Fact::Final { place, isolation, reading });
            }
        }
    }
}

/// The whole of a partition; none: somebody failed.
async fn read(
    client: &mut Client,
    topic: &crate::client::Topic,
    place: TopicPartition,
    isolation: Isolation,
) -> Option<Reading> {
    let from = list_offsets(client, topic, place, OffsetSpec::Earliest).await?;
    let end = list_offsets(client, topic, place, OffsetSpec::Latest(isolation)).await?;
    let high = list_offsets(client, topic, place, OffsetSpec::Latest(Isolation::Uncommitted)).await?;
    if end != high {
        // A transaction that was given up is ended when its time is over.
        client.pause(500..1_000).await;
        return None;
    }
    let mut whole = Reading { next: from, ..Reading::default() };
    while whole.next < end {
        let ask = Ask { from: whole.next, isolation, assignment: None, wait_ms: 100 };
        let Fetched::Read(reading) = fetch(client, topic, place, ask).await else {
            client.pause(20..100).await;
            return None;
        };
        whole.records.extend(reading.records);
        whole.markers.extend(reading.markers);
        (whole.next, whole.ends) = (reading.next, reading.ends);
    }
    Some(whole)
}
