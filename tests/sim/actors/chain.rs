//! Chains: members of a group make from each record of one topic one of another, exactly once. What was made and how far the
//! input was read are parts of the same transaction, and only a member may commit that (KIP-447). Whoever is not sure what
//! became of a transaction aborts it or begins another session, and goes on from what the group has committed.
//!
//! ```text
//! join ─▶ committed offsets ─▶ fetch ─▶ send, a record for each ─▶ TxnOffsetCommit ─▶ EndTxn ─┐
//!              ▲   │                                │ unsure: abort, or another session        │
//!              │   └────────────────────────────────┼──────────────────────────────────────────┘
//!              └────────────────────────────────────┘
//! ```

use super::consumer::list_offsets;
use super::group::Member;
use super::transaction::{Session, Step, TransactionVersion};
use crate::client::{Client, Topic};
use crate::history::{
    Fact, Isolation, OffsetSpec, Reading, Role, Sent, TopicPartition, TransactionNumber, Verdict,
};
use crate::records::headers_told;

/// Who makes what from what.
#[derive(Clone, Debug)]
pub struct Chain {
    pub group: String,
    pub input: String,
    pub output: String,
}

/// What one worker asks brokers with: as a member of the group, and as a producer.
pub struct Clients {
    pub member: Client,
    pub producer: Client,
}

struct Worker {
    member: Member,
    session: Session,
    output: Topic,
    /// The producer's session is over, or not begun.
    is_closed: bool,
}

/// What became of the records of one fetch.
enum Passed {
    On,
    /// They are to be read again.
    Back,
}

/// A worker until all is over. It may be without a share of the input: that the chain gets on, its last worker shows.
pub async fn run(clients: Clients, chain: Chain, number: u64) {
    clients.member.started("chain", Role::Operator);
    let id = format!("{}-{number}", chain.group);
    let mut worker = Worker::new(clients, &chain, id).await;
    while !worker.member.client.shared.is_over() {
        worker.run().await;
        worker.look_at_topics(&chain).await;
    }
    worker.member.client.stopped();
}

/// The last worker of a chain: it goes on to the end of the input, to which nobody adds any more.
pub async fn finish(clients: Clients, chain: Chain) {
    let mut worker = Worker::new(clients, &chain, format!("{}-last", chain.group)).await;
    while !worker.drain().await {
        worker.member.client.pause(50..300).await;
        worker.look_at_topics(&chain).await;
    }
    worker.member.leave().await;
    let Chain { group, .. } = chain;
    let (input, output) = (worker.member.topic.id, worker.output.id);
    worker.member.client.fact(Fact::Chain { group, input, output });
}

impl Worker {
    async fn new(mut clients: Clients, chain: &Chain, id: String) -> Worker {
        let input = topic(&mut clients.member, &chain.input).await;
        let output = topic(&mut clients.member, &chain.output).await;
        Worker {
            member: Member::new(clients.member, chain.group.clone(), input),
            session: Session::new(clients.producer, id),
            output,
            is_closed: true,
        }
    }

    /// There may be more partitions by now.
    async fn look_at_topics(&mut self, chain: &Chain) {
        self.member.topic = topic(&mut self.member.client, &chain.input).await;
    }

    /// For a while, then it leaves.
    async fn run(&mut self) {
        let mut rounds = self.member.client.dice.between(20..200);
        while rounds > 0 && !self.member.client.shared.is_over() {
            rounds -= 1;
            if !self.begin().await {
                self.member.client.pause(20..200).await;
                continue;
            }
            self.member.client.got_on();
            while rounds > 0 && !self.member.client.shared.is_over() {
                rounds -= 1;
                if !self.round().await {
                    break;
                }
                self.member.client.pause(1..150).await;
            }
        }
        self.member.leave().await;
    }

    /// Joins, with a session that is open: what was pending of the last one has an end then.
    async fn begin(&mut self) -> bool {
        self.is_open().await && self.member.join().await
    }

    async fn is_open(&mut self) -> bool {
        if self.is_closed {
            self.is_closed = !self.session.init().await;
        }
        !self.is_closed
    }

    /// Once through all that it has. False: it has to join again.
    async fn round(&mut self) -> bool {
        let places: Vec<TopicPartition> = self.member.positions.keys().copied().collect();
        for place in places {
            let Ok(read) = self.member.poll(place).await else { return false };
            let Some(reading) = read.filter(|reading| !reading.records.is_empty()) else { continue };
            let passed = self.pass_on(place, reading).await;
            if matches!(passed, Passed::Back) && !(self.is_open().await && self.member.rewind().await) {
                return false;
            }
        }
        self.member.heartbeat().await
    }

    /// One transaction, of all that was read.
    async fn pass_on(&mut self, place: TopicPartition, reading: Reading) -> Passed {
        let number = self.session.client.shared.next_record();
        let step = self.make(place, reading, number).await;
        let verdict = match step {
            Step::Done if self.session.client.dice.permille(900) => Verdict::Commit,
            Step::Done | Step::Abort => Verdict::Abort,
            Step::Over => {
                self.is_closed = true;
                return Passed::Back;
            }
        };
        let is_ended = self.session.end(number, verdict).await;
        // What was not acknowledged may come yet, under the epoch that it was sent with.
        let may_come = step != Step::Done && self.session.version == TransactionVersion::One;
        self.is_closed = !is_ended || may_come;
        if is_ended && verdict == Verdict::Commit {
            return Passed::On;
        }
        Passed::Back
    }

    /// A record for each that was read, and the offset behind them.
    async fn make(&mut self, place: TopicPartition, reading: Reading, number: TransactionNumber) -> Step {
        let client = &self.session.client;
        let made = reading.records.iter().map(|record| {
            let number = client.shared.next_record();
            Sent {
                number,
                key: record.key,
                tombstone: false,
                headers: headers_told(number),
                timestamp: Some(client.wall_ms()),
                source: Some(record.number),
            }
        });
        let mut made: Vec<Sent> = made.collect();
        while !made.is_empty() {
            let count = self.session.client.dice.between(1..30);
            let rest = made.split_off(made.len().min(usize::try_from(count).expect("few")));
            let partition =
                self.session.client.dice.below(u64::try_from(self.output.partitions).expect("some"));
            let to =
                TopicPartition { topic: self.output.id, partition: i32::try_from(partition).expect("few") };
            let step = self.session.send(&self.output, to, number, made).await;
            if step != Step::Done {
                return step;
            }
            made = rest;
        }
        let by = self.member.membership();
        self.session.commit_offset(&by, &self.member.topic, (place, reading.next), number).await
    }

    /// Whether everything that is there was read, by this worker or by others before it.
    async fn drain(&mut self) -> bool {
        if !self.begin().await {
            return false;
        }
        for partition in 0..self.member.topic.partitions {
            let place = TopicPartition { topic: self.member.topic.id, partition };
            let Some(end) = self.end_of(place).await else { return false };
            // Others may still be taken for members.
            while self.member.positions.get(&place).is_none_or(|position| *position < end) {
                if !self.member.positions.contains_key(&place) || !self.round().await {
                    return false;
                }
            }
        }
        true
    }

    /// The end of a partition in which no transaction is open.
    async fn end_of(&mut self, place: TopicPartition) -> Option<i64> {
        let Member { client, topic, .. } = &mut self.member;
        let stable = list_offsets(client, topic, place, OffsetSpec::Latest(Isolation::Committed)).await?;
        let high = list_offsets(client, topic, place, OffsetSpec::Latest(Isolation::Uncommitted)).await?;
        (stable == high).then_some(stable)
    }
}

/// A topic that is there, or will be.
async fn topic(client: &mut Client, name: &str) -> Topic {
    loop {
        if let Some(topic) = client.topic(name).await {
            return topic;
        }
        client.disconnect();
        client.pause(100..500).await;
    }
}
