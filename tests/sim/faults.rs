//! What goes wrong, and when: drawn from the seed, one thing after the other, each with its end.

use crate::cluster::{Grounding, Process};
use crate::dice::Dice;
use crate::machine::SECOND;
use crate::metadata::MetadataFaults;
use crate::network::{CLIENTS, METADATA, Node, OBJECTS};
use crate::objects::ObjectFaults;

/// What may happen to a cluster.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill,
    KillAll,
    Pause,
    Leave,
    Partition,
    OneWay,
    CutMetadata,
    CutObjects,
    CutClient,
    DropConnections,
    ClockJump,
    LeaderChange,
    Compact,
    ExpireLeases,
    SlowNetwork,
    Redraw,
}

const ALL: [Fault; 16] = [
    Fault::Kill,
    Fault::KillAll,
    Fault::Pause,
    Fault::Leave,
    Fault::Partition,
    Fault::OneWay,
    Fault::CutMetadata,
    Fault::CutObjects,
    Fault::CutClient,
    Fault::DropConnections,
    Fault::ClockJump,
    Fault::LeaderChange,
    Fault::Compact,
    Fault::ExpireLeases,
    Fault::SlowNetwork,
    Fault::Redraw,
];

/// What the brokers' clocks show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clocks {
    Right,
    /// Each something else, and they jump.
    Off,
}

/// How far a clock may be off, in milliseconds.
pub const CLOCK_OFF_MAX_MS: i64 = 60_000;

/// The clients that lines are cut to: the first ones, mostly all.
const CLIENTS_CUT: u64 = 12;

/// The plan of one simulation, made as it goes.
pub struct Faults {
    dice: Dice,
    grounding: Grounding,
    next_at: u64,
    /// Lines that come back, and processes that go on: when, and what. What was done twice is undone by the later one.
    undo: Vec<(u64, Undo)>,
    /// Those that this seed has, each as often as it is likely.
    kinds: Vec<Fault>,
    mean: u64,
}

#[derive(PartialEq, Eq)]
enum Undo {
    Open(Node, Node),
    Resume(Node),
    Fast,
}

impl Faults {
    /// Those of a seed whose `phase` is so long, in nanoseconds; the clocks may be right all the time.
    pub fn new(dice: Dice, grounding: Grounding, phase: u64, clocks: Clocks) -> Faults {
        let mut kinds: Vec<Fault> = ALL.into_iter().filter(|_| dice.permille(600)).collect();
        kinds.retain(|kind| clocks == Clocks::Off || !matches!(kind, Fault::ClockJump));
        if kinds.is_empty() {
            kinds.push(Fault::Kill);
        }
        let kinds = kinds.into_iter().flat_map(|kind| std::iter::repeat_n(kind, weight(kind))).collect();
        // As many faults in a long phase as in a short one.
        let mean = *dice.pick(&[phase / 30, phase / 10, phase / 4]);
        grounding.objects.set_faults(ObjectFaults::drawn(&dice));
        grounding.metadata.set_faults(MetadataFaults::drawn(&dice));
        Faults { next_at: SECOND, dice, grounding, undo: Vec::new(), kinds, mean }
    }

    /// Has happen what is due. Says what.
    pub fn step(&mut self, now: u64, processes: &mut [Process]) -> Vec<String> {
        let mut said = Vec::new();
        let mut due: Vec<Undo> = Vec::new();
        let mut later = Vec::new();
        for (at, undo) in self.undo.drain(..) {
            if at <= now { due.push(undo) } else { later.push((at, undo)) }
        }
        self.undo = later;
        for undo in due {
            if self.undo.iter().any(|(_, other)| *other == undo) {
                continue;
            }
            said.push(self.undo(now, &undo, processes));
        }
        if now >= self.next_at {
            self.next_at = now + self.dice.between(self.mean / 4..self.mean * 2);
            let fault = *self.dice.pick(&self.kinds);
            let happened = self.happen(now, fault, processes);
            if happened.is_some() {
                self.grounding.tally.count(word(fault));
            }
            said.extend(happened);
        }
        said
    }

    fn undo(&self, now: u64, undo: &Undo, processes: &mut [Process]) -> String {
        let links = &self.grounding.net.links;
        match undo {
            Undo::Open(from, to) => {
                links.set(*from, *to, true);
                format!("line {from} to {to} is back")
            }
            Undo::Resume(node) => {
                process(processes, *node).resume(now);
                format!("broker {node} goes on")
            }
            Undo::Fast => {
                links.set_slow(0);
                "the network is fast again".to_owned()
            }
        }
    }

    /// Has it happen, if it can; what was done.
    fn happen(&mut self, now: u64, fault: Fault, processes: &mut [Process]) -> Option<String> {
        let nodes: Vec<Node> = processes.iter().map(|process| process.node).collect();
        let (node, other) = (*self.dice.pick(&nodes), *self.dice.pick(&nodes));
        let until = now + self.dice.between(SECOND / 5..*self.dice.pick(&[SECOND, 6 * SECOND, 20 * SECOND]));
        let is_there = process(processes, node).is_running();
        let said = match fault {
            Fault::Kill | Fault::Pause | Fault::Leave if !is_there => return None,
            Fault::Partition | Fault::OneWay if node == other => return None,
            Fault::Kill => {
                process(processes, node).kill(now, until);
                format!("broker {node} is killed")
            }
            Fault::KillAll => {
                for process in processes {
                    process.kill(now, now + self.dice.between(SECOND / 5..4 * SECOND));
                }
                "all brokers are killed".to_owned()
            }
            Fault::Pause => {
                process(processes, node).pause(now);
                self.undo.push((until, Undo::Resume(node)));
                format!("broker {node} stands still")
            }
            Fault::Leave => {
                process(processes, node).stop();
                format!("broker {node} is asked to leave")
            }
            Fault::Partition => {
                self.cut(&[(node, other), (other, node)], until);
                format!("no line between {node} and {other}")
            }
            Fault::OneWay => {
                self.cut(&[(node, other)], until);
                format!("no line from {node} to {other}")
            }
            Fault::CutMetadata => {
                let ways = [(node, METADATA), (METADATA, node)];
                self.cut(&ways[self.dice.index(2)..], until);
                format!("no line between {node} and the metadata store")
            }
            Fault::CutObjects => {
                let ways = [(node, OBJECTS), (OBJECTS, node)];
                self.cut(&ways[self.dice.index(2)..], until);
                format!("no line between {node} and the object store")
            }
            Fault::CutClient => {
                let client = CLIENTS + 1 + Node::try_from(self.dice.below(CLIENTS_CUT)).expect("few");
                let ways = [(node, client), (client, node)];
                self.cut(&ways[self.dice.index(2)..], until);
                format!("no line between {node} and client {}", client - CLIENTS)
            }
            Fault::DropConnections => {
                for _ in 0..self.dice.between(1..5) {
                    self.grounding.net.drop_connection(self.dice.next());
                }
                "connections are lost".to_owned()
            }
            Fault::ClockJump => {
                let off = clock_off_ms(&self.dice);
                process(processes, node).clock_off_ms = off;
                format!("the clock of {node} is off by {off} ms")
            }
            Fault::LeaderChange => {
                self.grounding.metadata.change_leader(now + self.dice.between(SECOND / 5..4 * SECOND));
                "the metadata store has no leader".to_owned()
            }
            Fault::Compact => {
                self.grounding.metadata.compact();
                "the metadata store forgets its history".to_owned()
            }
            Fault::ExpireLeases => {
                self.grounding.metadata.expire_leases();
                "all leases expire".to_owned()
            }
            Fault::SlowNetwork => {
                self.grounding.net.links.set_slow(self.dice.between(10..200));
                self.undo.push((until, Undo::Fast));
                "the network is slow".to_owned()
            }
            Fault::Redraw => {
                self.grounding.objects.set_faults(ObjectFaults::drawn(&self.dice));
                self.grounding.metadata.set_faults(MetadataFaults::drawn(&self.dice));
                "the stores fail otherwise".to_owned()
            }
        };
        Some(said)
    }

    fn cut(&mut self, ways: &[(Node, Node)], until: u64) {
        for (from, to) in ways {
            self.grounding.net.links.set(*from, *to, false);
            self.undo.push((until, Undo::Open(*from, *to)));
        }
    }

    /// From here on nothing fails.
    pub fn end(&mut self, now: u64, processes: &mut [Process]) {
        self.undo.clear();
        self.grounding.net.links.heal();
        self.grounding.objects.set_faults(ObjectFaults::NONE);
        self.grounding.metadata.set_faults(MetadataFaults::NONE);
        self.grounding.metadata.change_leader(0);
        for process in processes {
            process.resume(now);
            process.clock_off_ms = 0;
            process.start_at = process.start_at.min(now);
        }
    }
}

/// How far a clock is off, in milliseconds.
pub fn clock_off_ms(dice: &Dice) -> i64 {
    let most = u64::try_from(2 * CLOCK_OFF_MAX_MS).expect("positive");
    i64::try_from(dice.below(most)).expect("small") - CLOCK_OFF_MAX_MS
}

fn process(processes: &mut [Process], node: Node) -> &mut Process {
    processes.iter_mut().find(|process| process.node == node).expect("a broker of the cluster")
}

/// What has another broker take over happens more often than the rest.
fn weight(fault: Fault) -> usize {
    match fault {
        Fault::Kill | Fault::Pause => 4,
        Fault::Partition | Fault::OneWay | Fault::CutMetadata | Fault::CutObjects | Fault::CutClient => 2,
        _ => 1,
    }
}

fn word(fault: Fault) -> &'static str {
    match fault {
        Fault::Kill => "brokers killed",
        Fault::KillAll => "all brokers killed",
        Fault::Pause => "brokers paused",
        Fault::Leave => "brokers asked to leave",
        Fault::Partition => "brokers parted",
        Fault::OneWay => "brokers parted one way",
        Fault::CutMetadata => "lines to the metadata store cut",
        Fault::CutObjects => "lines to the object store cut",
        Fault::CutClient => "lines to clients cut",
        Fault::DropConnections => "connections dropped",
        Fault::ClockJump => "clocks jump",
        Fault::LeaderChange => "metadata leader changes",
        Fault::Compact => "metadata compactions",
        Fault::ExpireLeases => "leases expired at once",
        Fault::SlowNetwork => "network slow",
        Fault::Redraw => "store faults drawn again",
    }
}
