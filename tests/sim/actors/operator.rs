//! The operator: makes topics, gives them more partitions and other settings, deletes records, deletes topics.

use super::consumer::{Ask, fetch, list_offsets};
use super::producer::send_plain;
use crate::client::{Client, Lost, Topic, text};
use crate::history::{
    Answer, Call, Isolation, OffsetSpec, Outcome, Role, TopicId, TopicPartition, TopicSettings,
};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    IncrementalAlterConfigsRequest, TopicName,
};
use uuid::Uuid;

const TOPIC_ALREADY_EXISTS: i16 = 36;
const OF_A_TOPIC: i8 = 2;
/// Records up to there are to be deleted, whatever that is.
const HIGH_WATERMARK: i64 = -1;

/// Settings of a topic, in Kafka's words.
fn settings_of(settings: &TopicSettings) -> Vec<(&'static str, String)> {
    let policy = match (settings.compact, settings.delete) {
        (true, true) => "compact,delete",
        (true, false) => "compact",
        _ => "delete",
    };
    let retention = |limit: Option<u64>| limit.map_or_else(|| "-1".to_owned(), |limit| limit.to_string());
    let mut all = vec![
        ("cleanup.policy", policy.to_owned()),
        ("retention.ms", retention(settings.retention_ms)),
        ("retention.bytes", retention(settings.retention_bytes)),
    ];
    if settings.compact {
        all.push(("delete.retention.ms", settings.delete_retention_ms.to_string()));
        all.push(("min.cleanable.dirty.ratio", "0".to_owned()));
        all.push(("max.compaction.lag.ms", "1000".to_owned()));
    }
    all
}

/// Creates a topic, however often it has to ask.
pub async fn create(client: &mut Client, name: &str, partitions: i32, settings: TopicSettings) {
    let configs = settings_of(&settings).into_iter().map(|(name, value)| {
        CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(&value)))
    });
    let topic = CreatableTopic::default()
        .with_name(TopicName(text(name)))
        .with_num_partitions(partitions)
        .with_replication_factor(-1)
        .with_configs(configs.collect());
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(5_000);
    while !client.shared.is_over() {
        client.connected().await;
        let call = client.begins(Call::CreateTopic { name: name.to_owned(), partitions, settings });
        let answer = match client.ask(7, &request).await {
            Ok(answer) => answer.topics.into_iter().next(),
            Err(Lost) => None,
        };
        match answer {
            Some(topic) if topic.error_code == 0 => {
                let topic = TopicId(topic.topic_id.as_u128());
                client.got_on();
                return client.ends(call, Outcome::Ok(Answer::Topic { topic, partitions }));
            }
            Some(topic) if topic.error_code == TOPIC_ALREADY_EXISTS => {
                return client.ends(call, Outcome::Refused(topic.error_code));
            }
            _ => client.ends(call, Outcome::Unknown),
        }
        client.disconnect();
        client.pause(50..300).await;
    }
}

/// A topic that is wanted: name, partitions, settings.
pub type Wanted = (String, i32, TopicSettings);

/// Creates topics, then changes them now and then; some it leaves alone.
pub async fn run(mut client: Client, topics: Vec<Wanted>, left_alone: Vec<Wanted>) {
    client.started("operator", Role::Operator);
    for (name, partitions, settings) in topics.iter().chain(&left_alone) {
        create(&mut client, name, *partitions, *settings).await;
    }
    while !client.shared.is_over() {
        client.pause(500..6_000).await;
        if client.shared.is_over() {
            break;
        }
        let (name, partitions, settings) = client.dice.pick(&topics).clone();
        let Some(topic) = client.topic(&name).await else {
            create(&mut client, &name, partitions, settings).await;
            continue;
        };
        client.got_on();
        match client.dice.below(10) {
            0 => use_and_delete(&mut client).await,
            1 | 2 => extend(&mut client, &topic).await,
            3 | 4 => alter(&mut client, &topic, settings).await,
            _ => delete_records(&mut client, &topic).await,
        }
    }
    client.stopped();
}

/// A topic of the operator's own, whose name is given again and again.
async fn use_and_delete(client: &mut Client) {
    let name = "short-lived";
    let settings =
        TopicSettings { delete: true, delete_retention_ms: 86_400_000, ..TopicSettings::default() };
    create(client, name, 1, settings).await;
    let Some(topic) = client.topic(name).await else { return };
    for _ in 0..client.dice.between(1..5) {
        send_plain(client, &topic, None).await;
    }
    let place = TopicPartition { topic: topic.id, partition: 0 };
    let ask = Ask { from: 0, isolation: Isolation::Uncommitted, assignment: None, wait_ms: 0 };
    fetch(client, &topic, place, ask).await;
    delete(client, &topic).await;
}

/// What became of an operation of which a code is all that is told. A refusal by these was no attempt.
fn outcome_of(code: Option<i16>, done: Answer) -> Outcome {
    match code {
        Some(0) => Outcome::Ok(done),
        Some(code @ (1 | 3 | 37 | 39 | 42)) => Outcome::Refused(code),
        _ => Outcome::Unknown,
    }
}

async fn delete(client: &mut Client, topic: &Topic) {
    let call = client.begins(Call::DeleteTopic { topic: topic.id });
    let state = DeleteTopicState::default().with_name(None).with_topic_id(Uuid::from_u128(topic.id.0));
    let request = DeleteTopicsRequest::default().with_topics(vec![state]).with_timeout_ms(5_000);
    let answer = client.ask(6, &request).await.ok();
    let code = answer.and_then(|answer| Some(answer.responses.first()?.error_code));
    client.ends(call, outcome_of(code.filter(|code| *code == 0), Answer::Done));
}

async fn extend(client: &mut Client, topic: &Topic) {
    let count = topic.partitions + 1;
    if count > 5 {
        return;
    }
    let call = client.begins(Call::CreatePartitions { topic: topic.id, count });
    let wanted = CreatePartitionsTopic::default()
        .with_name(TopicName(text(&topic.name)))
        .with_count(count)
        .with_assignments(None);
    let request = CreatePartitionsRequest::default().with_topics(vec![wanted]).with_timeout_ms(5_000);
    let answer = client.ask(3, &request).await.ok();
    let code = answer.and_then(|answer| Some(answer.results.first()?.error_code));
    client.ends(call, outcome_of(code.filter(|code| *code == 0), Answer::Done));
}

async fn alter(client: &mut Client, topic: &Topic, before: TopicSettings) {
    let retention_bytes = client.dice.permille(500).then(|| client.dice.between(1_000..20_000));
    let settings = TopicSettings { retention_bytes: retention_bytes.filter(|_| before.delete), ..before };
    let call = client.begins(Call::AlterTopic { topic: topic.id, settings });
    let configs = settings_of(&settings).into_iter().map(|(name, value)| {
        AlterableConfig::default()
            .with_name(text(name))
            .with_config_operation(0)
            .with_value(Some(text(&value)))
    });
    let resource = AlterConfigsResource::default()
        .with_resource_type(OF_A_TOPIC)
        .with_resource_name(text(&topic.name))
        .with_configs(configs.collect());
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let answer = client.ask(1, &request).await.ok();
    let code = answer.and_then(|answer| Some(answer.responses.first()?.error_code));
    client.ends(call, outcome_of(code.filter(|code| *code == 0), Answer::Done));
}

async fn delete_records(client: &mut Client, topic: &Topic) {
    let partition = client.dice.below(u64::try_from(topic.partitions).expect("some"));
    let partition = i32::try_from(partition).expect("few");
    let place = TopicPartition { topic: topic.id, partition };
    // Also what is not stable: open transactions lose records then.
    let latest = OffsetSpec::Latest(Isolation::Uncommitted);
    let Some(high) = list_offsets(client, topic, place, latest).await else { return };
    let below = client.dice.below(u64::try_from(high).expect("not negative") + 1);
    let below = i64::try_from(below).expect("an offset");
    let before = if client.dice.permille(100) { HIGH_WATERMARK } else { below };
    client.connected().await;
    let call = client.begins(Call::DeleteRecords { place, before });
    let wanted = DeleteRecordsPartition::default().with_partition_index(partition).with_offset(before);
    let wanted =
        DeleteRecordsTopic::default().with_name(TopicName(text(&topic.name))).with_partitions(vec![wanted]);
    let request = DeleteRecordsRequest::default().with_topics(vec![wanted]).with_timeout_ms(5_000);
    let answer = client.ask(2, &request).await.ok();
    let part = answer.and_then(|answer| answer.topics.into_iter().next()?.partitions.into_iter().next());
    let outcome = match part {
        Some(part) if part.error_code == 0 => Outcome::Ok(Answer::Start(part.low_watermark)),
        Some(part) => outcome_of(Some(part.error_code).filter(|code| *code == 1 || *code == 3), Answer::Done),
        None => Outcome::Unknown,
    };
    client.ends(call, outcome);
}
