//! Keeps offsets of groups without members: one number after the other, at whichever broker answers.

use super::observed::Observed;
use crate::support::cluster::Cluster;
use crate::support::history::Commit;
use crate::support::requests::{Topic, text, topic_name};
use crate::support::{Client, NONE};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{GroupId, OffsetCommitRequest, OffsetFetchRequest};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// So many groups, so that every broker coordinates some.
pub const GROUPS: usize = 6;
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two offsets.
const PACE: Duration = Duration::from_millis(20);
const OFFSET_COMMIT: i16 = 8;
const OFFSET_FETCH: i16 = 7;

/// One keeper for all groups.
pub struct Keeper {
    thread: JoinHandle<()>,
}

struct Keeping {
    topic: String,
    brokers: Vec<SocketAddr>,
    observed: Arc<Observed>,
    client: Option<Client>,
    /// Which broker is asked.
    turn: usize,
}

impl Keeper {
    /// Begins.
    pub fn start(cluster: &Cluster, topic: &Topic, observed: &Arc<Observed>) -> Keeper {
        let brokers = (0..cluster.len()).map(|number| cluster.broker(number).kafka()).collect();
        let (topic, observed) = (topic.name.clone(), Arc::clone(observed));
        let keeping = Keeping { topic, brokers, observed, client: None, turn: 0 };
        Keeper { thread: std::thread::spawn(move || keeping.keep()) }
    }

    /// It ends with the load.
    pub fn finish(self) {
        self.thread.join().expect("the keeper");
    }
}

impl Keeping {
    fn keep(mut self) {
        for offset in 1.. {
            for group in 0..GROUPS {
                if self.observed.wait(PACE) {
                    return;
                }
                let outcome = self.commit(group, offset);
                let at = matches!(outcome, Ok(NONE)).then(|| self.observed.now());
                self.observed.committed(Commit { group, offset, at });
                if at.is_none() {
                    // The next one is asked.
                    self.client = None;
                    self.turn += 1;
                }
            }
        }
    }

    fn commit(&mut self, group: usize, offset: i64) -> io::Result<i16> {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(0)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(-1)
            .with_committed_metadata(Some(text("")));
        let topic = OffsetCommitRequestTopic::default()
            .with_name(topic_name(&self.topic))
            .with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(name_of(group))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic]);
        let client = match self.client.take() {
            Some(client) => client,
            None => Client::try_connect(self.brokers[self.turn % self.brokers.len()], PATIENCE)?,
        };
        let answer = self.client.insert(client).try_call(OFFSET_COMMIT, &request)?;
        let partition = answer.topics.iter().flat_map(|topic| &topic.partitions).next();
        Ok(partition.expect("what was asked for").error_code)
    }
}

fn name_of(group: usize) -> GroupId {
    GroupId(text(&format!("kept-{group}")))
}

/// Asks for a group's offset: the offset, -1 for none, or an error.
pub fn fetch(client: &mut Client, topic: &str, group: usize) -> io::Result<Result<i64, i16>> {
    let asked =
        OffsetFetchRequestTopic::default().with_name(topic_name(topic)).with_partition_indexes(vec![0]);
    let request = OffsetFetchRequest::default().with_group_id(name_of(group)).with_topics(Some(vec![asked]));
    let answer = client.try_call(OFFSET_FETCH, &request)?;
    if answer.error_code != NONE {
        return Ok(Err(answer.error_code));
    }
    let partition = answer.topics.iter().flat_map(|topic| &topic.partitions).next();
    let partition = partition.expect("what was asked for");
    Ok(if partition.error_code == NONE { Ok(partition.committed_offset) } else { Err(partition.error_code) })
}
