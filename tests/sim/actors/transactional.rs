//! Transactional producers: a few batches to some partitions, sometimes an offset of a group, then the verdict, again and
//! again.

use super::group::{OFFSET_FETCH, fetch_offset};
use super::producer::some_records;
use super::transaction::{Membership, Session, Step, TransactionVersion};
use crate::client::{Client, Topic};
use crate::history::{Role, TopicPartition, TransactionNumber, Verdict};

struct Transactional {
    session: Session,
    /// How many different keys there are, in topics that need some.
    keys: Option<u64>,
    /// A group without members, whose offsets are numbers of transactions.
    group: String,
}

/// Runs transactions over the partitions of topics. If others have the same transactional id each keeps the others out, again
/// and again.
pub async fn run(client: Client, id: String, role: Role, topics: Vec<String>, keys: Option<u64>) {
    client.started("transactional", role);
    let group = format!("offsets-of-{id}-{}", client.id);
    let mut own = Transactional { session: Session::new(client, id), keys, group };
    while !own.session.client.shared.is_over() {
        let mut found = Vec::new();
        for name in &topics {
            found.extend(own.session.client.await_topic(name).await);
        }
        if found.len() < topics.len() || !own.session.init().await {
            continue;
        }
        if role == Role::Operator {
            own.session.client.got_on();
        }
        for _ in 0..own.session.client.dice.between(2..15) {
            if own.session.client.shared.is_over() || !own.transaction(&found).await {
                break;
            }
            own.session.client.pause(1..300).await;
        }
        if role == Role::Operator {
            own.session.client.pause(300..2_000).await;
        }
    }
    own.session.client.stopped();
}

impl Transactional {
    /// One transaction. False: the session of the producer is over.
    async fn transaction(&mut self, topics: &[Topic]) -> bool {
        let number = self.session.client.shared.next_record();
        let wanted = if self.session.client.dice.permille(750) { Verdict::Commit } else { Verdict::Abort };
        let mut done = Step::Done;
        for _ in 0..self.session.client.dice.between(1..5) {
            let (topic, place) = self.place(topics);
            let records = some_records(&self.session.client, self.keys);
            done = self.session.send(&topic, place, number, records).await;
            if done != Step::Done {
                break;
            }
        }
        if done == Step::Done && self.session.client.dice.permille(300) {
            done = self.commit_offset(topics, number).await;
        }
        let verdict = match done {
            Step::Done => wanted,
            Step::Abort => Verdict::Abort,
            Step::Over => return false,
        };
        if !self.session.end(number, verdict).await {
            return false;
        }
        if verdict == Verdict::Commit {
            self.session.client.got_on();
        }
        // What was not acknowledged may come yet: whoever goes on does so by another epoch.
        done == Step::Done || self.session.version == TransactionVersion::Two
    }

    fn place(&self, topics: &[Topic]) -> (Topic, TopicPartition) {
        let dice = &self.session.client.dice;
        let topic = dice.pick(topics).clone();
        let partition = dice.below(u64::try_from(topic.partitions).expect("some"));
        let place = TopicPartition { topic: topic.id, partition: i32::try_from(partition).expect("few") };
        (topic, place)
    }

    /// Commits an offset that no other transaction has, and now and then asks first what there is.
    async fn commit_offset(&mut self, topics: &[Topic], number: TransactionNumber) -> Step {
        let (topic, place) = self.place(topics);
        let by = Membership::none(self.group.clone());
        if self.session.client.dice.permille(300) {
            fetch_offset(&mut self.session.client, OFFSET_FETCH, &by, &topic, place).await;
        }
        let offset = i64::try_from(number).expect("few transactions");
        self.session.commit_offset(&by, &topic, (place, offset), number).await
    }
}
