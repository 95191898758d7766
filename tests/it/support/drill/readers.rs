//! Readers that go from partition to partition at one broker each, fetch and ask for ends, and note what they were told and
//! between which moments. Some soon give up on a question, so that a broker that was away has young ones to answer when
//! it is back; others wait long.

use super::keeper::{self, GROUPS};
use super::observed::Observed;
use super::writers::parse;
use crate::support::cluster::Cluster;
use crate::support::history::{Answer, Committed, Ends, RecordId, Told};
use crate::support::requests::{
    EARLIEST, FETCH_BY_NAME, FetchLimits, LATEST, Topic, fetch_partition, fetch_request, topic_name,
};
use crate::support::{Client, NONE, ResponseError, parse_batches};
use kafka_protocol::messages::ListOffsetsRequest;
use kafka_protocol::messages::fetch_request::FetchTopic;
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long readers wait for an answer: the readers of a broker, one of each kind.
const PATIENCE: [Duration; 2] = [Duration::from_millis(800), Duration::from_secs(8)];
/// After an error, and between two questions.
const PAUSE: Duration = Duration::from_millis(20);
/// A fetch waits for records that long.
const TAIL: FetchLimits =
    FetchLimits { max_wait_ms: 50, min_bytes: 1, max_bytes: 1 << 18, partition_max_bytes: 1 << 18 };
const WHOLE: FetchLimits =
    FetchLimits { max_wait_ms: 0, min_bytes: 0, max_bytes: 8 << 20, partition_max_bytes: 8 << 20 };
/// The last reading of one partition.
const READ_WITHIN: Duration = Duration::from_secs(60);
const LIST_OFFSETS: i16 = 8;

/// What is behind the name of an error that is not retriable.
pub const FINAL: &str = " (final)";

/// What one broker shows of all partitions.
pub type Log = BTreeMap<i32, Vec<(i64, RecordId)>>;

/// All readers.
pub struct Readers {
    brokers: usize,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Two for each broker.
    pub fn start(cluster: &Cluster, topic: &Topic, observed: &Arc<Observed>) -> Readers {
        let mut readers = Readers { brokers: 0, threads: Vec::new() };
        readers.follow(cluster, topic, observed);
        readers
    }

    /// Also for brokers that came.
    pub fn follow(&mut self, cluster: &Cluster, topic: &Topic, observed: &Arc<Observed>) {
        for broker in self.brokers..cluster.len() {
            for patience in PATIENCE {
                let address = cluster.broker(broker).kafka();
                let (topic, observed) = (topic.name.clone(), Arc::clone(observed));
                let reader = Reader { broker, address, patience, topic, observed, client: None };
                self.threads.push(std::thread::spawn(move || reader.read()));
            }
        }
        self.brokers = cluster.len();
    }

    /// They end with the load.
    pub fn finish(self) {
        self.threads.into_iter().for_each(|thread| thread.join().expect("a reader"));
    }
}

struct Reader {
    broker: usize,
    address: SocketAddr,
    patience: Duration,
    topic: String,
    observed: Arc<Observed>,
    client: Option<Client>,
}

impl Reader {
    fn read(mut self) {
        let mut positions = vec![0; usize::try_from(super::PARTITIONS).expect("a number")];
        while !self.observed.wait(PAUSE) {
            for (partition, position) in (0..).zip(&mut positions) {
                let told = self.ask(|reader| reader.fetch(partition, *position, TAIL));
                if let Some(Told::Records { records, .. }) = told {
                    *position = records.last().map_or(*position, |&(offset, _)| offset + 1);
                }
                self.ask(|reader| reader.list(partition, LATEST));
            }
            (0..GROUPS).for_each(|group| self.ask_offset(group));
        }
    }

    /// Asks, and notes what came of it.
    fn ask(&mut self, ask: impl FnOnce(&mut Reader) -> io::Result<Result<(i32, Told), i16>>) -> Option<Told> {
        let began = self.observed.now();
        match ask(self) {
            Ok(Ok((partition, told))) => {
                let ended = self.observed.now();
                let answer = Answer { broker: self.broker, partition, began, ended, told: told.clone() };
                self.observed.answered(answer);
                return Some(told);
            }
            Ok(Err(code)) => self.refused(code_in_words(code)),
            Err(error) => {
                self.client = None;
                self.refused(format!("{:?}", error.kind()));
            }
        }
        None
    }

    /// Asks for the offset of a group.
    fn ask_offset(&mut self, group: usize) {
        let began = self.observed.now();
        let topic = self.topic.clone();
        let told = self.client().and_then(|client| keeper::fetch(client, &topic, group));
        let (broker, ended) = (self.broker, self.observed.now());
        match told {
            Ok(Ok(offset)) => {
                self.observed.told_offset(Committed { broker, group, began, ended, offset });
            }
            Ok(Err(code)) => self.refused(code_in_words(code)),
            Err(error) => {
                self.client = None;
                self.refused(format!("{:?}", error.kind()));
            }
        }
    }

    fn refused(&self, why: String) {
        self.observed.refused(why);
        self.observed.wait(PAUSE);
    }

    fn client(&mut self) -> io::Result<&mut Client> {
        let client = match self.client.take() {
            Some(client) => client,
            None => Client::try_connect(self.address, self.patience)?,
        };
        Ok(self.client.insert(client))
    }

    fn fetch(
        &mut self,
        partition: i32,
        from: i64,
        limits: FetchLimits,
    ) -> io::Result<Result<(i32, Told), i16>> {
        let asked = fetch_partition(partition, from, limits.partition_max_bytes);
        let topic = FetchTopic::default().with_topic(topic_name(&self.topic)).with_partitions(vec![asked]);
        let answer = self.client()?.try_call(FETCH_BY_NAME, &fetch_request(limits, vec![topic]))?;
        if answer.error_code != NONE {
            return Ok(Err(answer.error_code));
        }
        let data = answer.responses.into_iter().flat_map(|topic| topic.partitions).next();
        let data = data.expect("what was asked for");
        Ok(match data.error_code {
            NONE => Ok((partition, told_of(data, from))),
            code if code == ResponseError::OffsetOutOfRange.code() => {
                Ok((partition, Told::OutOfRange { from }))
            }
            code => Err(code),
        })
    }

    fn list(&mut self, partition: i32, timestamp: i64) -> io::Result<Result<(i32, Told), i16>> {
        let asked = ListOffsetsPartition::default()
            .with_partition_index(partition)
            .with_current_leader_epoch(-1)
            .with_timestamp(timestamp);
        let topic =
            ListOffsetsTopic::default().with_name(topic_name(&self.topic)).with_partitions(vec![asked]);
        let request = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
        let answer = self.client()?.try_call(LIST_OFFSETS, &request)?;
        let data = answer.topics.into_iter().flat_map(|topic| topic.partitions).next();
        let data = data.expect("what was asked for");
        Ok(if data.error_code == NONE {
            Ok((partition, Told::End(data.offset)))
        } else {
            Err(data.error_code)
        })
    }

    /// Everything of a partition, from its start to its end as it is now.
    fn read_whole(&mut self, partition: i32) -> Vec<(i64, RecordId)> {
        let deadline = Instant::now() + READ_WITHIN;
        let bound = |reader: &mut Reader, timestamp| loop {
            assert!(Instant::now() < deadline, "broker {} tells the ends of {partition}", reader.broker);
            if let Ok(Ok((_, Told::End(end)))) = reader.list(partition, timestamp) {
                return end;
            }
            reader.client = None;
        };
        let (start, end) = (bound(self, EARLIEST), bound(self, LATEST));
        let mut all = Vec::new();
        let mut position = start;
        while position < end {
            assert!(Instant::now() < deadline, "broker {} serves {partition} from {position}", self.broker);
            let told = self.ask(|reader| reader.fetch(partition, position, WHOLE));
            if let Some(Told::Records { records, .. }) = told {
                position = records.last().map_or(position, |&(offset, _)| offset + 1);
                all.extend(records);
            }
        }
        all
    }
}

/// An error that clients do not try again after is told as such.
fn code_in_words(code: i16) -> String {
    match ResponseError::try_from_code(code) {
        Some(error) if error.is_retriable() => format!("{error:?}"),
        Some(error) => format!("{error:?}{FINAL}"),
        None => format!("code {code}{FINAL}"),
    }
}

/// The whole topic as each broker shows it when all is over.
pub fn read_to_the_end(
    cluster: &Cluster,
    topic: &Topic,
    partitions: i32,
    observed: &Arc<Observed>,
) -> Vec<Log> {
    let logs = (0..cluster.len()).map(|broker| {
        let address = cluster.broker(broker).kafka();
        let (topic, observed) = (topic.name.clone(), Arc::clone(observed));
        let patience = PATIENCE[1];
        let mut reader = Reader { broker, address, patience, topic, observed, client: None };
        (0..partitions).map(|partition| (partition, reader.read_whole(partition))).collect()
    });
    logs.collect()
}

fn told_of(data: PartitionData, from: i64) -> Told {
    let named = |end: i64| (end >= 0).then_some(end);
    let ends = Ends {
        start: named(data.log_start_offset),
        stable: named(data.last_stable_offset),
        high: named(data.high_watermark),
    };
    let batches = parse_batches(&data.records.unwrap_or_default());
    let records = batches.iter().flat_map(|batch| {
        let records = batch.records();
        assert_eq!(batch.base_offset + i64::try_from(records.len()).expect("few"), batch.last_offset + 1);
        let id = |value: &[u8]| parse(value).expect("a record of ours");
        let ids: Vec<RecordId> =
            records.iter().map(|record| id(record.value.as_deref().unwrap_or_default())).collect();
        (batch.base_offset..).zip(ids)
    });
    // A batch may begin before what was asked for.
    Told::Records { from, records: records.filter(|&(offset, _)| offset >= from).collect(), ends }
}
