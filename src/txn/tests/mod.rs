//! The promises of a transactional id. `Setup` brings it where a test begins; answers are shown as short texts.

mod brokers;
mod cells;
mod ends;
mod handover;
mod inits;
mod lists;
mod markers;
mod random;
mod restores;

use super::*;
use crate::types::{Moment, PartitionIndex, ProducerEpoch, ProducerId, Timestamp, TopicId, TopicPartition};
use std::time::Duration;
use uuid::Uuid;

/// The id that the transactional id gets first, and the one that is fresh thereafter.
const FIRST: i64 = 100;
const FRESH: i64 = 200;
const TIMEOUT_MS: i32 = 60_000;

use TransactionVersion::{One, Two};
use Verdict::{Abort, Commit};

fn now() -> Moment {
    Moment(Duration::from_secs(1000))
}

fn wall() -> Timestamp {
    Timestamp(1_763_700_000_000)
}

fn producer(id: i64, epoch: i16) -> Producer {
    Producer { id: ProducerId(id), epoch: ProducerEpoch(epoch) }
}

/// A partition of one topic, or a group above 99.
fn place(number: i32) -> Place {
    if number > 99 {
        Place::Group(format!("g{number}").into())
    } else {
        let topic_id = TopicId(Uuid::from_u128(1));
        Place::Partition(TopicPartition { topic_id, partition: PartitionIndex(number) })
    }
}

/// Short texts: an identity is `id:epoch`, an ordinal `#1`.
trait Show {
    fn show(&self) -> String;
}

impl Show for Producer {
    fn show(&self) -> String {
        format!("{}:{}", self.id.0, self.epoch.0)
    }
}

impl Show for TransactionOrdinal {
    fn show(&self) -> String {
        format!("#{}", self.0)
    }
}

impl Show for () {
    fn show(&self) -> String {
        "done".to_owned()
    }
}

impl<A: Show> Show for Result<A, TxnError> {
    fn show(&self) -> String {
        match self {
            Ok(answer) => answer.show(),
            Err(error) => format!("{error:?}"),
        }
    }
}

/// A transactional id whose stores all succeed at once, unless a test holds them.
struct Setup {
    core: Transaction,
    fresh: Option<ProducerId>,
    stores: usize,
}

impl Setup {
    /// Nothing is known.
    fn new() -> Setup {
        Setup {
            core: Transaction::new(TransactionConfig::default()),
            fresh: Some(ProducerId(FIRST)),
            stores: 0,
        }
    }

    /// The first instance has its identity.
    fn empty() -> Setup {
        let mut setup = Setup::new();
        assert_eq!(setup.init(None), format!("{FIRST}:0"));
        setup.fresh = Some(ProducerId(FRESH));
        setup
    }

    /// The same, with that epoch.
    fn empty_at(epoch: i16) -> Setup {
        let mut setup = Setup::empty();
        let mut stored = setup.core.stored().expect("it is known");
        stored.producer.epoch = epoch;
        setup.core = Transaction::restore(stored, TransactionConfig::default(), now()).unwrap();
        setup
    }

    /// With an open transaction at places 0 and 100.
    fn ongoing_at(epoch: i16) -> Setup {
        let mut setup = Setup::empty_at(epoch);
        assert_eq!(setup.add(producer(FIRST, epoch), &[0, 100]), "#1");
        setup
    }

    fn ongoing() -> Setup {
        Setup::ongoing_at(0)
    }

    /// Decided, with no marker written.
    fn prepare(version: TransactionVersion, verdict: Verdict) -> Setup {
        let mut setup = Setup::ongoing();
        setup.end(version, producer(FIRST, 0), verdict);
        setup
    }

    fn complete(version: TransactionVersion, verdict: Verdict) -> Setup {
        let mut setup = Setup::prepare(version, verdict);
        setup.write_markers();
        setup
    }

    fn settle(&mut self) {
        while self.core.take_dirty() {
            self.stores += 1;
            self.core.on_stored(wall());
        }
    }

    fn init(&mut self, expected: Option<Producer>) -> String {
        self.init_within(TIMEOUT_MS, expected)
    }

    fn init_within(&mut self, timeout_ms: i32, expected: Option<Producer>) -> String {
        let request = InitProducerIdRequest { timeout_ms, expected, fresh_producer_id: self.fresh };
        let answer = self.core.on_init_producer_id(request, wall()).show();
        self.settle();
        answer
    }

    fn add(&mut self, producer: Producer, places: &[i32]) -> String {
        let places = places.iter().copied().map(place).collect();
        let request = AddPlacesRequest { producer, places, transaction_version: Two };
        let answer = self.core.on_add_places(request, now(), wall()).show();
        self.settle();
        answer
    }

    fn verify(&mut self, producer: Producer, number: i32) -> String {
        self.core.on_verify(producer, &place(number)).show()
    }

    fn end(
        &mut self,
        transaction_version: TransactionVersion,
        producer: Producer,
        verdict: Verdict,
    ) -> String {
        let fresh_producer_id = self.fresh;
        let request = EndTxnRequest { producer, verdict, transaction_version, fresh_producer_id };
        let answer = self.core.on_end(request, wall()).show();
        self.settle();
        answer
    }

    fn time_out(&mut self) {
        let deadline = self.core.next_deadline().expect("a transaction is open");
        self.core.on_time(deadline, wall());
        self.settle();
    }

    fn write_markers(&mut self) {
        let markers = self.core.markers_to_send().expect("a transaction is decided");
        for place in &markers.places {
            self.core.on_marker_written(place, markers.ordinal, wall());
        }
        self.settle();
    }

    /// As a new coordinator finds it.
    fn restart(&mut self) {
        let stored = self.core.stored().expect("it is known");
        self.core = Transaction::restore(stored, TransactionConfig::default(), now()).unwrap();
        self.settle();
    }

    /// Its state, and who the markers or the client are.
    fn shape(&self) -> String {
        let view = self.core.describe().expect("it is known");
        format!("{} {} {}", view.state, view.producer.show(), view.ordinal.show())
    }
}
