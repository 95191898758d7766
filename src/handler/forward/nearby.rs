//! Fetching what a broker of another zone leads: it says where the records lie, and this one reads them from its own cache or the
//! object store. So what consumers read goes from zone to zone once at most, as it would to the object store anyway, and what the
//! brokers say to each other is a few bytes.
//!
//! The leader decides what is committed and who sees it, after the fetch has come; so whatever was acknowledged before is in it. Where
//! anything is in doubt, the records are fetched from the leader, as in one zone: it does not understand, what it names is
//! gone or cannot be read from here, there is too much to say. A leader that gives no answer is taken for none, as by a Fetch.

use super::fetch::{Ask, Gateway, refused};
use crate::handler::fetch::{Fetched, Terms};
use crate::handler::fetch_here::{Share, part, read_each, reserve, share_out};
use crate::handler::fetch_session::{PartitionRef, TopicRef, Wanted};
use crate::limits::MemoryPermit;
use crate::log::{
    Direction, DirectionsWanted, Ends, PARTITIONS_MAX, PartitionRead, PartitionWanted, ReadPlan,
    decode_directions,
};
use crate::mesh::{CallError, NotSent};
use crate::peers::PrivateApi;
use crate::topic::Topic;
use crate::types::{Offset, PartitionIndex, SessionId, TopicId, TopicPartition};
use crate::wire::{ErrorCode, FetchAnswerPartition};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A leader that is there says where to read so soon after the end of its wait: it reads nothing but the metadata store.
const LATE_MAX: Duration = Duration::from_secs(5);

/// What a leader says to the question where to read.
enum Told {
    Directions(Vec<Direction>),
    /// It gives no answer: it would give none to a Fetch either.
    Nothing,
    /// It does not know the question, or this broker not what to make of the answer.
    NotUnderstood,
}

/// Why nothing of a partition is read here.
enum NotRead {
    Refused(ErrorCode),
    /// Its leader is asked for the records.
    AskLeader,
}

/// What is read here of a partition, and its ends, if they are known.
type Near = Result<(Option<Ends>, PartitionRead), NotRead>;

impl Gateway<'_> {
    /// Fetches what `session` leads in another zone.
    pub(super) async fn ask_nearby(&self, session: SessionId, ask: &Ask, terms: Terms<'_>) -> Fetched {
        let directions = match self.directions(session, ask, terms).await {
            Told::Directions(directions) => directions,
            Told::Nothing => return refused(ask, terms, ErrorCode::NotLeaderOrFollower),
            Told::NotUnderstood => return self.ask_other(session, ask, terms).await,
        };
        let ends: Vec<Option<Ends>> = directions.iter().map(ends).collect();
        let wanted = ask.wanted.iter().map(|(_, wanted)| *wanted);
        let mut shares = share_out(terms, wanted.zip(directions.into_iter().map(plan)));
        let permit = reserve(self.at.context, terms, &mut shares).await;
        let reads = self.read_all(shares).await;
        let near: Vec<Near> = ends.into_iter().zip(reads).map(|(ends, read)| Ok((ends, read?))).collect();
        let from_leader = self.rest(session, ask, terms, &near).await;
        let permits = permit.into_iter().chain(from_leader.permit).collect();
        Fetched { parts: parts(ask, terms, near, from_leader.parts), permit: MemoryPermit::merged(permits) }
    }

    /// Asks where to read.
    async fn directions(&self, session: SessionId, ask: &Ask, terms: Terms<'_>) -> Told {
        let context = self.at.context;
        let partitions: Option<Vec<_>> =
            ask.wanted.iter().map(|wanted| self.partition_wanted(wanted)).collect();
        let Some(partitions) = partitions.filter(|all| all.len() <= PARTITIONS_MAX) else {
            return Told::NotUnderstood;
        };
        let request = DirectionsWanted {
            isolation: terms.isolation,
            bytes_min: terms.bytes_min,
            bytes_max: terms.bytes_max,
            wait: terms.deadline.saturating_duration_since(Instant::now()),
            partitions,
        };
        let until = terms.deadline.max(Instant::now()) + LATE_MAX;
        let asked = context.peers.ask(session, PrivateApi::Directions, &request.encode(), until).await;
        let answer = match asked {
            Ok(answer) => answer,
            Err(CallError::NotSent(NotSent::Refused)) => return Told::NotUnderstood,
            Err(error) => {
                tracing::debug!(%session, %error, "a leader has not said where to read");
                return Told::Nothing;
            }
        };
        let name_of = |id: TopicId| context.catalog.by_id(id).map(|topic| topic.name.clone());
        match decode_directions(answer, &request.partitions, name_of) {
            Ok(directions) => Told::Directions(directions),
            Err(_) => {
                tracing::warn!(%session, "what a leader says of where to read cannot be used");
                Told::NotUnderstood
            }
        }
    }

    fn partition_wanted(
        &self,
        ((topic_ref, index), wanted): &(PartitionRef, Wanted),
    ) -> Option<PartitionWanted> {
        let catalog = &self.at.context.catalog;
        let topic: Arc<Topic> = match topic_ref {
            TopicRef::Name(name) => catalog.by_name(name)?,
            TopicRef::Id(id) => catalog.by_id(TopicId(*id))?,
        };
        Some(PartitionWanted {
            topic_partition: TopicPartition { topic_id: topic.id, partition: PartitionIndex(*index) },
            from: Offset(wanted.fetch_offset),
            bytes_max: wanted.bytes_max,
            leader_epoch: wanted.current_leader_epoch,
        })
    }

    async fn read_all(&self, shares: Vec<Result<Share, NotRead>>) -> Vec<Result<PartitionRead, NotRead>> {
        let reader = &self.at.context.reader;
        let read = |_place, Share { plan, limit }| async move {
            let read = reader.read(&plan, limit).await;
            read.map_err(|error| {
                tracing::debug!(%error, "the leader is asked for what could not be read here");
                NotRead::AskLeader
            })
        };
        read_each(reader, shares, read).await
    }

    /// What the leader has to give itself, after what was read here.
    async fn rest(&self, session: SessionId, ask: &Ask, terms: Terms<'_>, near: &[Near]) -> Fetched {
        let metrics = &self.at.context.metrics;
        let read: u64 = near.iter().flatten().map(|(_, read)| read.bytes).sum();
        metrics.fetch_bytes.inc_by(read);
        metrics.zones.read_bytes.inc_by(read);
        let is_left = |place: &usize| matches!(near[*place], Err(NotRead::AskLeader));
        let left: Vec<usize> = (0..near.len()).filter(is_left).collect();
        if left.is_empty() {
            return Fetched { parts: Vec::new(), permit: None };
        }
        metrics.zones.asked_leader.inc_by(left.len() as u64);
        let terms = Terms {
            bytes_min: 0,
            bytes_max: terms.bytes_max.saturating_sub(read),
            deadline: terms.deadline.min(Instant::now()),
            ..terms
        };
        self.ask_other(session, &ask.only(&left), terms).await
    }
}

/// Puts together what was read here and what the leader gave, in the order in which it was asked for.
fn parts(
    ask: &Ask,
    terms: Terms<'_>,
    near: Vec<Near>,
    from_leader: Vec<FetchAnswerPartition>,
) -> Vec<FetchAnswerPartition> {
    let mut from_leader = from_leader.into_iter();
    let parts = ask.wanted.iter().zip(near).map(|(((topic_ref, index), _), near)| {
        let said = match near {
            Ok(said) => Ok(said),
            Err(NotRead::Refused(code)) => Err(in_words_of(topic_ref, code)),
            Err(NotRead::AskLeader) => match from_leader.next() {
                Some(part) => return part,
                None => Err(ErrorCode::NotLeaderOrFollower),
            },
        };
        part(*index, terms.isolation, said)
    });
    parts.collect()
}

fn ends(direction: &Direction) -> Option<Ends> {
    match direction {
        Direction::Read { ends, .. } => *ends,
        Direction::Refused(_) | Direction::AskLeader => None,
    }
}

fn plan(direction: Direction) -> Result<ReadPlan, NotRead> {
    match direction {
        Direction::Read { plan, .. } => Ok(plan),
        Direction::Refused(code) => Err(NotRead::Refused(code)),
        Direction::AskLeader => Err(NotRead::AskLeader),
    }
}

/// A leader is asked by id, also for those who know names alone.
fn in_words_of(topic_ref: &TopicRef, code: ErrorCode) -> ErrorCode {
    match (topic_ref, code) {
        (TopicRef::Name(_), ErrorCode::UnknownTopicId) => ErrorCode::UnknownTopicOrPartition,
        _ => code,
    }
}
