//! Random clients, leaders, crashes and lost stores: what holds whatever comes.
//!
//! Clients are *instances* that know what they were answered, and send old requests again at any time. The stored value
//! changes only when a store succeeds; an answer is heard only then.

use super::*;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use std::collections::{BTreeMap, BTreeSet};

const SEATS: usize = 3;

#[derive(Clone, Debug)]
enum Ask {
    /// Whether the instance goes on, with the identity so many answers ago.
    Init {
        goes_on: Option<usize>,
    },
    Add {
        ago: usize,
        place: i32,
    },
    Verify {
        ago: usize,
        place: i32,
    },
    End {
        ago: usize,
        version: TransactionVersion,
        verdict: Verdict,
    },
}

/// What becomes of a store.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Stored,
    /// Refused, or nobody knows: the core is dropped with its answers.
    Lost,
    StoredUnheard,
}

#[derive(Clone, Debug)]
enum Step {
    /// A burst of requests, answered by one store.
    Asks(Vec<(usize, Ask)>, Fate),
    Marker {
        place: i32,
        ordinal_ago: i64,
        fate: Fate,
    },
    Pass {
        seconds: u64,
        fate: Fate,
    },
    ForceAbort(Fate),
    Crash,
}

enum Heard {
    /// And whether it is a new instance's.
    Identity(Producer, bool),
    Added(Producer, TransactionOrdinal),
    Ended {
        asked: EndTxnRequest,
        answer: Producer,
        ordinal: i64,
    },
    Nothing,
}

struct Play {
    core: Transaction,
    stored: Option<StoredTransaction>,
    now: Moment,
    fresh: i64,
    /// What each instance was, in order; the last is what it takes itself to be.
    known: Vec<Vec<Producer>>,
    /// Which instance that is: a newcomer takes the seat of one before.
    instance_of: [usize; SEATS],
    instances: usize,
    owners: BTreeMap<(i64, i16), usize>,
    verdicts: BTreeMap<i64, StoredStage>,
    written: BTreeSet<(i64, Place)>,
    /// The last EndTxn of version 2 that was answered, while it may be asked again.
    ended: Option<(EndTxnRequest, Producer, i64)>,
    completed: usize,
}

impl Play {
    fn new(first_epoch: Option<i16>) -> Play {
        let mut play = Play {
            core: Transaction::new(TransactionConfig::default()),
            stored: None,
            now: now(),
            fresh: FIRST,
            known: vec![Vec::new(); SEATS],
            instance_of: [0; SEATS],
            instances: 0,
            owners: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            written: BTreeSet::new(),
            ended: None,
            completed: 0,
        };
        if let Some(epoch) = first_epoch {
            play.stored = Setup::empty_at(epoch).core.stored();
            play.fresh = FRESH;
            play.load();
        }
        play
    }

    fn load(&mut self) {
        self.core = match self.stored.clone() {
            None => Transaction::new(TransactionConfig::default()),
            Some(stored) => Transaction::restore(stored, TransactionConfig::default(), self.now).unwrap(),
        };
        self.settle(Fate::Stored);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Asks(asks, fate) => {
                let heard: Vec<_> = asks.into_iter().map(|(who, ask)| (who, self.ask(who, ask))).collect();
                if self.settle(fate) {
                    heard.into_iter().for_each(|(who, heard)| self.hear(who, heard));
                }
                self.check_end_again();
            }
            Step::Marker { place: number, ordinal_ago, fate } => self.write_marker(number, ordinal_ago, fate),
            Step::Pass { seconds, fate } => {
                self.now = self.now + Duration::from_secs(seconds);
                self.core.on_time(self.now, wall());
                self.settle(fate);
            }
            Step::ForceAbort(fate) => {
                let _ = self.core.on_force_abort(wall());
                self.settle(fate);
            }
            Step::Crash => self.load(),
        }
        self.check_core();
    }

    fn fresh_id(&mut self) -> Option<ProducerId> {
        self.fresh += 1;
        Some(ProducerId(self.fresh))
    }

    fn past(&self, who: usize, ago: usize) -> Option<Producer> {
        let known = &self.known[who];
        known.len().checked_sub(ago + 1).map(|index| known[index])
    }

    fn ask(&mut self, who: usize, ask: Ask) -> Heard {
        match ask {
            Ask::Init { goes_on } => {
                let expected = goes_on.and_then(|ago| self.past(who, ago));
                let fresh_producer_id = self.fresh_id();
                let request = InitProducerIdRequest { timeout_ms: TIMEOUT_MS, expected, fresh_producer_id };
                let answer = self.core.on_init_producer_id(request, wall());
                answer.map_or(Heard::Nothing, |answer| Heard::Identity(answer, expected.is_none()))
            }
            Ask::Add { ago, place: number } => {
                let Some(producer) = self.past(who, ago) else { return Heard::Nothing };
                let request =
                    AddPlacesRequest { producer, places: vec![place(number)], transaction_version: Two };
                let answer = self.core.on_add_places(request, self.now, wall());
                answer.map_or(Heard::Nothing, |ordinal| Heard::Added(producer, ordinal))
            }
            Ask::Verify { ago, place: number } => {
                let Some(producer) = self.past(who, ago) else { return Heard::Nothing };
                let answer = self.core.on_verify(producer, &place(number));
                answer.map_or(Heard::Nothing, |ordinal| Heard::Added(producer, ordinal))
            }
            Ask::End { ago, version, verdict } => {
                let Some(producer) = self.past(who, ago) else { return Heard::Nothing };
                let fresh_producer_id = self.fresh_id();
                let asked =
                    EndTxnRequest { producer, verdict, transaction_version: version, fresh_producer_id };
                let Ok(answer) = self.core.on_end(asked, wall()) else { return Heard::Nothing };
                // As it is now: what is asked in the same burst may begin the next one.
                let ordinal = self.core.stored().expect("ended, so known").ordinal;
                Heard::Ended { asked, answer, ordinal }
            }
        }
    }

    /// Whether answers are heard.
    fn settle(&mut self, fate: Fate) -> bool {
        while self.core.take_dirty() {
            if let Fate::Lost = fate {
                self.load();
                return false;
            }
            let next = self.core.stored().expect("it is known");
            self.check_stored(&next);
            self.stored = Some(next);
            if let Fate::StoredUnheard = fate {
                self.load();
                return false;
            }
            self.core.on_stored(wall());
        }
        !matches!(fate, Fate::Lost)
    }

    fn hear(&mut self, who: usize, heard: Heard) {
        match heard {
            Heard::Identity(answer, is_new) => {
                if is_new {
                    self.known[who].clear();
                    self.instances += 1;
                    self.instance_of[who] = self.instances;
                }
                self.own(who, answer);
            }
            Heard::Added(producer, ordinal) => {
                let stored = self.stored.as_ref().expect("added, so stored");
                assert!(ordinal.0 <= stored.ordinal, "an ordinal that is not stored");
                assert!(producer.epoch.0 < i16::MAX);
            }
            Heard::Ended { asked, answer, ordinal } => {
                if asked.transaction_version == Two {
                    assert_ne!(answer, asked.producer, "each end has an epoch of its own");
                    self.ended = Some((asked, answer, ordinal));
                }
                self.own(who, answer);
            }
            Heard::Nothing => {}
        }
    }

    /// An identity is given to one instance only.
    fn own(&mut self, who: usize, identity: Producer) {
        assert!(identity.epoch.0 < i16::MAX, "that epoch only fences");
        let instance = self.instance_of[who];
        let owner = *self.owners.entry((identity.id.0, identity.epoch.0)).or_insert(instance);
        assert_eq!(owner, instance, "{identity:?} is given to two instances");
        if self.known[who].last() != Some(&identity) {
            self.known[who].push(identity);
        }
    }

    /// While nothing else happened, an EndTxn gets its answer again, and another verdict is fenced.
    fn check_end_again(&mut self) {
        let Some((asked, answer, ordinal)) = self.ended else { return };
        let stored = self.stored.as_ref().expect("ended, so stored");
        let identity = stored.next_producer_id.map_or(stored.producer, |id| StoredProducer { id, epoch: 0 });
        let is_present = identity == StoredProducer { id: answer.id.0, epoch: answer.epoch.0 };
        let has_ended = !matches!(stored.stage, StoredStage::Ongoing | StoredStage::Empty);
        if !is_present || !has_ended || stored.ordinal != ordinal {
            self.ended = None;
            return;
        }
        let mut core = self.core.clone();
        assert_eq!(core.on_end(asked, wall()), Ok(answer));
        let other = if asked.verdict == Commit { Abort } else { Commit };
        let other = EndTxnRequest { verdict: other, ..asked };
        assert_eq!(core.on_end(other, wall()), Err(TxnError::ProducerFenced));
        assert!(!core.take_dirty());
    }

    fn write_marker(&mut self, number: i32, ordinal_ago: i64, fate: Fate) {
        let Some(stored) = &self.stored else { return };
        let ordinal = TransactionOrdinal(stored.ordinal - ordinal_ago);
        // A leader answers only for a marker that it was sent.
        let sent = self.core.markers_to_send().filter(|markers| markers.ordinal == ordinal);
        let is_sent = sent.is_some_and(|markers| markers.places.contains(&place(number)));
        if is_sent || ordinal_ago > 0 {
            self.written.insert((ordinal.0, place(number)));
            self.core.on_marker_written(&place(number), ordinal, wall());
            self.settle(fate);
        }
    }

    fn check_stored(&mut self, next: &StoredTransaction) {
        use StoredStage::{PrepareAbort, PrepareCommit};
        if let Some(last) = &self.stored {
            assert!(next.ordinal >= last.ordinal, "ordinals grow");
            let was_ending = matches!(last.stage, PrepareCommit | PrepareAbort);
            let goes_on = next.stage == last.stage;
            if was_ending && !goes_on {
                for place in places_of(last) {
                    assert!(self.written.contains(&(last.ordinal, place)), "a marker is missing");
                }
                self.completed += 1;
            }
            let was_open = last.stage == StoredStage::Ongoing;
            assert!(!was_open || next.ordinal == last.ordinal, "an open transaction was left behind");
            if was_open || (was_ending && goes_on) {
                let last_places = places_of(last);
                assert!(last_places.is_subset(&places_of(next)), "a place was forgotten");
            }
            let grows = next.producer.id != last.producer.id || next.producer.epoch >= last.producer.epoch;
            assert!(grows, "epochs grow");
        }
        let verdict = match next.stage {
            PrepareCommit | PrepareAbort => next.stage,
            // An abort of nothing is no transaction's.
            _ => return,
        };
        assert_eq!(*self.verdicts.entry(next.ordinal).or_insert(verdict), verdict, "one verdict");
    }

    fn check_core(&self) {
        let markers = self.core.markers_to_send();
        let Some(stored) = &self.stored else {
            assert_eq!((markers, self.core.summary()), (None, None));
            return;
        };
        assert_eq!(self.core.stored().as_ref(), Some(stored), "what is answered is stored");
        assert_eq!(self.core.next_deadline().is_some(), stored.stage == StoredStage::Ongoing);
        if let Some(markers) = markers {
            let stage = match markers.verdict {
                Commit => StoredStage::PrepareCommit,
                Abort => StoredStage::PrepareAbort,
            };
            assert_eq!((stage, markers.ordinal.0), (stored.stage, stored.ordinal));
            let producer = StoredProducer { id: markers.producer_id.0, epoch: markers.producer_epoch.0 };
            assert_eq!(producer, stored.producer);
            assert!(!markers.places.is_empty());
        }
    }

    /// Whatever is open can still be ended.
    fn finish(&mut self) {
        self.now = self.now + Duration::from_secs(3600);
        self.core.on_time(self.now, wall());
        self.settle(Fate::Stored);
        if let Some(markers) = self.core.markers_to_send() {
            for place in markers.places {
                self.written.insert((markers.ordinal.0, place.clone()));
                self.core.on_marker_written(&place, markers.ordinal, wall());
            }
        }
        self.settle(Fate::Stored);
        let fresh_producer_id = self.fresh_id();
        let request = InitProducerIdRequest { timeout_ms: TIMEOUT_MS, expected: None, fresh_producer_id };
        assert!(self.core.on_init_producer_id(request, wall()).is_ok());
    }
}

fn places_of(stored: &StoredTransaction) -> BTreeSet<Place> {
    let partitions =
        stored.topics.iter().flat_map(|topic| topic.partitions.iter().map(|&index| place(index)));
    partitions.chain(stored.groups.iter().map(|name| Place::Group(name.as_str().into()))).collect()
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![8 => Just(Fate::Stored), 1 => Just(Fate::Lost), 1 => Just(Fate::StoredUnheard)]
}

fn number() -> impl Strategy<Value = i32> {
    prop_oneof![Just(0), Just(1), Just(100)]
}

fn ask() -> impl Strategy<Value = Ask> {
    let ago = || prop_oneof![6 => Just(0_usize), 1 => Just(1), 1 => Just(2)];
    let version = prop_oneof![2 => Just(Two), 1 => Just(One)];
    let verdict = prop_oneof![Just(Commit), Just(Abort)];
    let goes_on = prop_oneof![1 => Just(None), 2 => ago().prop_map(Some)];
    prop_oneof![
        2 => goes_on.prop_map(|goes_on| Ask::Init { goes_on }),
        5 => (ago(), number()).prop_map(|(ago, place)| Ask::Add { ago, place }),
        1 => (ago(), number()).prop_map(|(ago, place)| Ask::Verify { ago, place }),
        4 => (ago(), version, verdict).prop_map(|(ago, version, verdict)| Ask::End { ago, version, verdict }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let who = prop_oneof![4 => Just(0_usize), 1 => 1..SEATS];
    let asks = prop::collection::vec((who, ask()), 1..4);
    prop_oneof![
        6 => (asks, fate()).prop_map(|(asks, fate)| Step::Asks(asks, fate)),
        6 => (number(), prop_oneof![5 => Just(0_i64), 1 => Just(1)], fate())
            .prop_map(|(place, ordinal_ago, fate)| Step::Marker { place, ordinal_ago, fate }),
        1 => (1..61_u64, fate()).prop_map(|(seconds, fate)| Step::Pass { seconds, fate }),
        1 => fate().prop_map(Step::ForceAbort),
        1 => Just(Step::Crash),
    ]
}

fn first_epoch() -> impl Strategy<Value = Option<i16>> {
    prop_oneof![Just(None), (i16::MAX - 5..i16::MAX).prop_map(Some)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_promises_hold_whatever_comes(
        epoch in first_epoch(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut play = Play::new(epoch);
        for step in steps {
            play.step(step);
        }
        play.finish();
    }
}

#[test]
fn random_plays_end_transactions() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut completed = 0;
    for _ in 0..100 {
        let steps = prop::collection::vec(step(), 60).new_tree(&mut runner).unwrap().current();
        let mut play = Play::new(None);
        steps.into_iter().for_each(|step| play.step(step));
        completed += play.completed;
    }
    assert!(completed > 100, "only {completed}");
}
