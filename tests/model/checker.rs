//! A small model checker: breadth first over every interleaving, so the first counterexample is a shortest
//! one.
//!
//! Two questions are answered over all states that can be reached. *Safety*: no state has a `violation`.
//! *Liveness*: from every state some path without further faults leads to a goal, so nothing is ever stuck
//! (there is a path; fairness and time are not modelled). Only fingerprints of 64 bits are kept, so a trace
//! is found again by walking from the start; two states in ten million share one with a chance of about 1 in
//! 10^5.

use std::collections::{HashMap, VecDeque};
use std::fmt::Debug;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// A world: where it begins, what may happen next, and what must never be.
pub trait Model {
    type State: Clone + Hash + Eq;
    type Action: Copy + Debug;

    fn initial(&self) -> Self::State;
    fn actions(&self, state: &Self::State, actions: &mut Vec<Self::Action>);
    fn next(&self, state: &Self::State, action: Self::Action) -> Self::State;
    fn violation(&self, state: &Self::State) -> Option<&'static str>;
    /// A fault is something the world does; protocol steps are not faults.
    fn is_fault(&self, state: &Self::State, action: Self::Action) -> bool;
    fn is_goal(&self, state: &Self::State) -> bool;
}

#[derive(Debug)]
pub enum Outcome {
    Holds,
    Violated {
        what: &'static str,
        trace: Vec<String>,
    },
    /// `trace` leads to a state from which no goal can be reached any more.
    Stuck {
        states: usize,
        trace: Vec<String>,
    },
    TooLarge,
}

#[derive(Debug)]
pub struct Report {
    pub outcome: Outcome,
    pub states: usize,
    pub transitions: u64,
    pub depth: usize,
}

const ROOT: u32 = u32::MAX;

/// What is kept of each state, by its number in order of discovery.
#[derive(Default)]
struct Found {
    ids: HashMap<u64, u32, BuildHasherDefault<AsIs>>,
    fingerprints: Vec<u64>,
    parents: Vec<u32>,
}

impl Found {
    /// The number of the state, and whether it is new.
    fn number(&mut self, print: u64, parent: u32) -> (u32, bool) {
        let fresh = self.parents.len() as u32;
        let id = *self.ids.entry(print).or_insert(fresh);
        if id == fresh {
            self.fingerprints.push(print);
            self.parents.push(parent);
        }
        (id, id == fresh)
    }
}

/// Explores `model`; gives up past `states_max` states.
pub fn check<M: Model>(model: &M, states_max: usize) -> Report {
    let mut found = Found::default();
    let initial = model.initial();
    found.number(fingerprint(&initial), ROOT);
    let mut frontier = VecDeque::from([(0u32, 0usize, initial)]);
    let (mut goals, mut edges, mut actions) = (Vec::new(), Vec::new(), Vec::new());
    let mut report = Report { outcome: Outcome::Holds, states: 0, transitions: 0, depth: 0 };
    while let Some((id, level, state)) = frontier.pop_front() {
        report.depth = level;
        report.states = found.parents.len();
        if let Some(what) = model.violation(&state) {
            report.outcome = Outcome::Violated { what, trace: replay(model, &found, id) };
            return report;
        }
        if report.states > states_max {
            report.outcome = Outcome::TooLarge;
            return report;
        }
        if model.is_goal(&state) {
            goals.push(id);
        }
        actions.clear();
        model.actions(&state, &mut actions);
        for &action in &actions {
            let next = model.next(&state, action);
            report.transitions += 1;
            let (next_id, is_new) = found.number(fingerprint(&next), id);
            if next_id != id && !model.is_fault(&state, action) {
                edges.push((next_id, id));
            }
            if is_new {
                frontier.push_back((next_id, level + 1, next));
            }
        }
    }
    report.outcome = liveness(model, &found, goals, edges);
    report
}

/// Walks back from the goals over edges without faults; what is not reached is stuck.
fn liveness<M: Model>(model: &M, found: &Found, goals: Vec<u32>, mut edges: Vec<(u32, u32)>) -> Outcome {
    edges.sort_unstable();
    let mut reaches = vec![false; found.parents.len()];
    goals.iter().for_each(|&id| reaches[id as usize] = true);
    let mut queue = goals;
    while let Some(to) = queue.pop() {
        let first = edges.partition_point(|edge| edge.0 < to);
        for &(_, from) in edges[first..].iter().take_while(|edge| edge.0 == to) {
            if !reaches[from as usize] {
                reaches[from as usize] = true;
                queue.push(from);
            }
        }
    }
    match reaches.iter().position(|reached| !reached) {
        None => Outcome::Holds,
        Some(id) => {
            let states = reaches.iter().filter(|reached| !**reached).count();
            Outcome::Stuck { states, trace: replay(model, found, id as u32) }
        }
    }
}

/// The shortest path to `id`: the fingerprints of its ancestors say which action was taken at each step.
fn replay<M: Model>(model: &M, found: &Found, id: u32) -> Vec<String> {
    let ancestors =
        std::iter::successors(Some(id), |&id| Some(found.parents[id as usize]).filter(|&id| id != ROOT));
    let mut path: Vec<u32> = ancestors.collect();
    path.reverse();
    let mut state = model.initial();
    let mut trace = Vec::new();
    for id in &path[1..] {
        let mut actions = Vec::new();
        model.actions(&state, &mut actions);
        let steps = actions.into_iter().map(|action| (action, model.next(&state, action)));
        let (action, next) = steps
            .into_iter()
            .find(|(_, next)| fingerprint(next) == found.fingerprints[*id as usize])
            .expect("the search took this step");
        trace.push(format!("{action:?}"));
        state = next;
    }
    trace
}

fn fingerprint<S: Hash>(state: &S) -> u64 {
    let mut hasher = Mixer::default();
    state.hash(&mut hasher);
    hasher.finish()
}

/// Bytes are gathered into words and mixed: states are many small fields, and the hash is most of the work.
struct Mixer {
    hash: u64,
    word: u64,
    bits: u32,
}

impl Default for Mixer {
    fn default() -> Self {
        Mixer { hash: 0x9e37_79b9_7f4a_7c15, word: 0, bits: 0 }
    }
}

impl Mixer {
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.hash ^ word) * 0xd6e8_feb8_6659_fd93;
        self.hash = (product as u64 ^ (product >> 64) as u64).rotate_left(29)
            ^ word.wrapping_mul(0xe703_7ed1_a0b4_28db);
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u8(byte));
    }

    fn write_u8(&mut self, byte: u8) {
        self.word |= u64::from(byte) << self.bits;
        self.bits += 8;
        if self.bits == 64 {
            self.mix(self.word);
            (self.word, self.bits) = (0, 0);
        }
    }

    // Lengths and the numbers of enum variants are small here: one byte each.
    fn write_usize(&mut self, number: usize) {
        self.write_u8(number as u8);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u8(number as u8);
    }

    fn finish(&self) -> u64 {
        let mut last = Mixer { hash: self.hash, word: 0, bits: 0 };
        last.mix(self.word);
        last.mix(u64::from(self.bits) + 1);
        last.hash ^ last.hash >> 32
    }
}

/// Fingerprints are hashes already.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn write(&mut self, _: &[u8]) {
        unreachable!("only fingerprints are looked up");
    }

    fn write_u64(&mut self, print: u64) {
        self.0 = print;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
