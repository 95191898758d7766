//! One seed from its beginning to its end: a cluster, those who use it, what goes wrong, and at last a look at what is left.

use crate::actors::chain::{self, Chain};
use crate::actors::{consumer, consumer_group, group, operator, producer, reader, transactional};
use crate::checker::{self, Breach, Report};
use crate::client::{Client, Clients, seconds};
use crate::cluster::{Grounding, Process};
use crate::dice::Dice;
use crate::faults::{CLOCK_OFF_MAX_MS, Clocks, Faults, clock_off_ms};
use crate::history::{Bounds, ClientId, Fact, History, Isolation, Role, TopicSettings};
use crate::machine::{Machine, SECOND, TURN};
use crate::metadata::Metadata;
use crate::network::{Life, Net, Node};
use crate::objects::Objects;
use crate::panics;
use crate::remains::Remains;
use crate::settings::Settings;
use crate::tally::Tally;
use cenote::clock::simulated;
use cenote::planted::{self, Mistake};
use parking_lot::Mutex;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What makes a simulation: the same options, the same history to the byte.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub seed: u64,
    pub mistake: Option<Mistake>,
}

/// What came of it.
pub struct Outcome {
    pub options: Options,
    pub history: History,
    pub breaches: Vec<Breach>,
    /// It ended in a panic, with this message.
    pub panic: Option<String>,
    pub simulated: u64,
    pub tally: BTreeMap<&'static str, u64>,
}

impl Outcome {
    pub fn is_clean(&self) -> bool {
        self.breaches.is_empty() && self.panic.is_none()
    }
}

/// After the faults every client gets on within this time.
const PROGRESS_WITHIN: u64 = seconds(60);
/// What is still under way then ends within this time.
const END_WITHIN: u64 = seconds(120);

/// All that waits is archived, most of it is merged, and then graveyards are emptied.
const REST: u64 = seconds(60);
/// What crashes may leave until a janitor comes, where graveyards are empty.
const UNREFERENCED_BYTES_MAX: u64 = 4 << 20;

/// Simulates one seed on this thread.
pub fn simulate(options: Options) -> Outcome {
    simulated::begin(options.seed);
    planted::plant(options.mistake);
    panics::begin();
    let world = Mutex::new(None);
    let run = catch_unwind(AssertUnwindSafe(|| {
        let mut made = World::new(options.seed);
        *world.lock() =
            Some((Arc::clone(&made.clients), made.grounding.tally.clone(), Arc::clone(&made.clock)));
        made.run();
    }));
    let (clients, tally, clock) = world.into_inner().expect("a world is made in any case");
    planted::plant(None);
    simulated::end();
    let history = std::mem::take(&mut *clients.history.lock());
    let breaches = checker::check(&history);
    // Also those that a runtime has caught: an assertion of a broker.
    let panic = panics::end().or(run.err().map(|_| "a panic".to_owned()));
    Outcome {
        options,
        history,
        breaches,
        panic,
        simulated: clock.load(Ordering::Relaxed),
        tally: tally.all(),
    }
}

struct World {
    dice: Dice,
    grounding: Grounding,
    clients: Arc<Clients>,
    /// The clients' and the stores'.
    machine: Machine,
    processes: Vec<Process>,
    clock: Arc<AtomicU64>,
    next_client: Cell<ClientId>,
    plan: Plan,
}

/// What is drawn first of all.
#[derive(Clone, Copy, Debug)]
struct Plan {
    brokers: Node,
    /// How long something fails, in nanoseconds.
    phase: u64,
    clocks: Clocks,
    /// The last epoch of a producer id; none: the real one.
    epoch_last: Option<i16>,
    /// At the end nobody does anything for a while.
    rests: bool,
}

impl Plan {
    fn drawn(dice: &Dice) -> Plan {
        let phase = if dice.permille(50) { seconds(30)..seconds(60) } else { seconds(3)..seconds(9) };
        Plan {
            brokers: *dice.pick(&[1, 2, 3, 3, 3, 4, 4, 5]),
            phase: dice.between(phase),
            clocks: if dice.permille(300) { Clocks::Right } else { Clocks::Off },
            epoch_last: *dice.pick(&[None, None, Some(3), Some(20)]),
            rests: dice.permille(100),
        }
    }

    /// How far two clocks may be apart, in nanoseconds.
    fn clock_error(&self) -> u64 {
        match self.clocks {
            Clocks::Right => seconds(1),
            Clocks::Off => u64::try_from(CLOCK_OFF_MAX_MS).expect("positive") * 2_000_000,
        }
    }
}

const EPOCH_MS: i64 = 1_750_000_000_000;

impl World {
    fn new(seed: u64) -> World {
        let dice = Dice::new(seed);
        let machine = Machine::new(0, dice.next());
        let tally = Tally::default();
        let net = Net::new(dice.fork());
        let objects = Objects::new(dice.fork(), Arc::clone(&net.links), machine.handle(), tally.clone());
        let metadata = Metadata::new(dice.fork(), Arc::clone(&net.links), machine.handle(), tally.clone());
        let grounding = Grounding { net: Arc::clone(&net), objects, metadata, tally, epoch_ms: EPOCH_MS };
        let plan = Plan::drawn(&dice);
        simulated::end_epochs_at(plan.epoch_last);
        let brokers = plan.brokers;
        let settings = Settings::drawn(&dice);
        let process = |node| {
            let mut process = Process::new(node, grounding.clone(), dice.fork(), settings.clone());
            if plan.clocks == Clocks::Off && dice.permille(500) {
                process.clock_off_ms = clock_off_ms(&dice);
            }
            process
        };
        let processes = (1..=brokers).map(process).collect();
        let bounds = Bounds {
            clock_error: plan.clock_error(),
            session_timeout: seconds(45),
            rebalance_timeout: seconds(10),
            progress_within: PROGRESS_WITHIN,
            bytes_per_offset_max: 100_000,
            began_at_ms: EPOCH_MS,
        };
        let clients = Arc::new(Clients {
            net,
            life: Life::new(),
            brokers,
            history: Mutex::new(History::new(bounds)),
            records: AtomicU64::new(1),
            is_calm: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            progress: Mutex::default(),
            committing: Mutex::default(),
            epoch_ms: EPOCH_MS,
        });
        World {
            plan,
            dice,
            grounding,
            clients,
            machine,
            processes,
            clock: Arc::default(),
            next_client: Cell::new(1),
        }
    }

    fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    /// A turn of every machine, in an order that chance has.
    fn turn(&mut self) {
        let (before, moment) = (self.now(), self.now() + TURN);
        let mut order: Vec<usize> = (0..=self.processes.len()).collect();
        self.dice.shuffle(&mut order);
        for index in order {
            match self.processes.get_mut(index) {
                Some(process) => process.run_until(before, moment),
                None => self.machine.run_until(moment),
            }
        }
        self.clock.store(moment, Ordering::Relaxed);
        self.grounding.tally.lines().into_iter().for_each(|line| self.note(line));
    }

    fn note(&self, what: String) {
        self.clients.history.lock().fact(self.now(), 0, Fact::Note(what));
    }

    /// Turns until something is so; false if it is not within a time.
    fn turn_until(&mut self, within: u64, is_so: impl Fn(&World) -> bool) -> bool {
        let until = self.now() + within;
        while !is_so(self) {
            if self.now() >= until {
                return false;
            }
            self.turn();
        }
        true
    }

    fn run(&mut self) {
        let Begun { topics, chain } = self.begin();
        self.note(format!("{:?}", self.plan));
        let Plan { phase, clocks, .. } = self.plan;
        let mut faults = Faults::new(self.dice.fork(), self.grounding.clone(), phase, clocks);
        while self.now() < phase {
            for said in faults.step(self.now(), &mut self.processes) {
                self.note(said);
            }
            self.turn();
        }
        faults.end(self.now(), &mut self.processes);
        self.clients.history.lock().fact(self.now(), 0, Fact::FaultsEnded);
        self.clients.is_calm.store(true, Ordering::Relaxed);
        self.turn_until(PROGRESS_WITHIN, |world| world.clients.all_got_on());
        self.clients.is_over.store(true, Ordering::Relaxed);
        let ended = self.turn_until(END_WITHIN, |world| world.clients.progress.lock().is_empty());
        assert!(ended, "clients do not end: {:?}", self.clients.progress.lock().keys());
        if let Some(chain) = chain {
            self.finish_chain(chain);
        }
        if self.plan.rests {
            self.turn_until(REST, |_| false);
        }
        self.read_all(&topics);
        self.stop_all();
        self.look_at_remains();
        self.clients.life.end();
    }

    /// All brokers are asked to end.
    fn stop_all(&mut self) {
        for process in &mut self.processes {
            process.start_at = u64::MAX;
            process.stop();
        }
        let ended =
            self.turn_until(END_WITHIN, |world| world.processes.iter().all(|process| !process.is_running()));
        assert!(ended, "brokers do not end");
    }

    /// The real fsck, when no broker runs any more.
    fn look_at_remains(&mut self) {
        // What lies in graveyards may be all that was ever put.
        let allowed =
            if self.plan.rests { UNREFERENCED_BYTES_MAX } else { self.grounding.objects.put_bytes() };
        let found = self.machine.run(self.remains().fsck(allowed));
        self.clients.fact_at(self.now(), found);
    }

    /// Those who use the cluster begin.
    fn begin(&mut self) -> Begun {
        let topics: Vec<operator::Wanted> = (0..self.dice.between(1..3))
            .map(|number| (format!("topic-{number}"), self.some_partitions(), self.topic_settings()))
            .collect();
        let names: Vec<String> = topics.iter().map(|(name, _, _)| name.clone()).collect();
        topics.iter().for_each(|topic| self.begin_with_topic(topic));
        for number in 0..self.dice.between(0..3) {
            let id = format!("transactions-{number}");
            for role in [Role::Transactional, Role::Operator].into_iter().take(self.dice.index(2) + 1) {
                let (id, names) = (id.clone(), names.clone());
                self.spawn(|client| transactional::run(client, id, role, names, Some(8)));
            }
        }
        self.begin_groups(&names[0]);
        let chain = self.dice.permille(400).then(|| self.begin_chain(&names));
        let made = chain.as_ref().map(|chain| (chain.output.clone(), self.some_partitions(), kept()));
        let made: Vec<operator::Wanted> = made.into_iter().collect();
        let begun = Begun {
            topics: names.into_iter().chain(made.iter().map(|(name, _, _)| name.clone())).collect(),
            chain,
        };
        self.spawn(|client| operator::run(client, topics, made));
        begun
    }

    /// Its producers and readers.
    fn begin_with_topic(&self, (name, _, settings): &operator::Wanted) {
        let keys = settings.compact.then(|| self.dice.between(2..12));
        for _ in 0..self.dice.between(0..2) {
            self.spawn(|client| producer::run_plain(client, name.clone(), keys));
        }
        for _ in 0..self.dice.between(1..2) {
            self.spawn(|client| producer::run_idempotent(client, name.clone(), keys));
        }
        for isolation in [Isolation::Uncommitted, Isolation::Committed] {
            self.spawn(|client| consumer::run_assigned(client, name.clone(), isolation));
        }
    }

    /// Groups of either protocol. There may be fewer partitions than members: only the first has to commit something.
    fn begin_groups(&self, topic: &str) {
        let role = |number| if number == 0 { Role::Member } else { Role::Operator };
        for number in 0..self.dice.between(0..3) {
            let (group, topic) = ("group".to_owned(), topic.to_owned());
            self.spawn(|client| group::run(client, group, topic, role(number)));
        }
        for number in 0..self.dice.between(0..4) {
            let (group, topic) = ("consumers".to_owned(), topic.to_owned());
            self.spawn(|client| consumer_group::run(client, group, topic, role(number)));
        }
    }

    fn begin_chain(&self, topics: &[String]) -> Chain {
        let chain = Chain {
            group: "chain".to_owned(),
            input: self.dice.pick(topics).clone(),
            output: "made".to_owned(),
        };
        for number in 0..self.dice.between(1..3) {
            let clients = self.chain_clients();
            self.machine.handle().spawn(chain::run(clients, chain.clone(), number));
        }
        chain
    }

    /// The chain's last worker makes what the others have left.
    fn finish_chain(&mut self, chain: Chain) {
        let done = Arc::new(AtomicBool::new(false));
        let (clients, is_done) = (self.chain_clients(), Arc::clone(&done));
        self.machine.handle().spawn(async move {
            chain::finish(clients, chain).await;
            is_done.store(true, Ordering::Relaxed);
        });
        let in_time = self.turn_until(END_WITHIN, |_| done.load(Ordering::Relaxed));
        assert!(in_time, "a chain does not come to the end of its input");
    }

    fn chain_clients(&self) -> chain::Clients {
        chain::Clients { member: self.client(), producer: self.client() }
    }

    fn client(&self) -> Client {
        let id = self.next_client.get();
        self.next_client.set(id + 1);
        Client::new(&self.clients, id, self.dice.fork())
    }

    fn spawn<Run>(&self, run: impl FnOnce(Client) -> Run)
    where
        Run: Future<Output = ()> + Send + 'static,
    {
        self.machine.handle().spawn(run(self.client()));
    }

    fn some_partitions(&self) -> i32 {
        i32::try_from(self.dice.between(1..4)).expect("few")
    }

    /// Mostly all is kept; some topics are compacted, some lose what is old.
    fn topic_settings(&self) -> TopicSettings {
        match self.dice.below(5) {
            0 => TopicSettings {
                compact: true,
                delete: false,
                delete_retention_ms: *self.dice.pick(&[2_000, 600_000]),
                ..kept()
            },
            1 => TopicSettings { retention_bytes: Some(self.dice.between(2_000..30_000)), ..kept() },
            // Some records say that they are an hour old. By most of these no other is too old, whatever a clock says.
            2 => TopicSettings { retention_ms: Some(*self.dice.pick(&RETENTION_MS)), ..kept() },
            _ => kept(),
        }
    }

    /// Everything that is there is read once more, and the files of the archive after it.
    fn read_all(&mut self, topics: &[String]) {
        self.read(topics);
        for fact in self.segments() {
            self.grounding.tally.count("partitions compared as Parquet");
            self.clients.fact_at(self.now(), fact);
        }
    }

    fn read(&mut self, topics: &[String]) {
        let done = Arc::new(AtomicBool::new(false));
        let client = self.client();
        let (read, topics) = (Arc::clone(&done), topics.to_vec());
        self.machine.handle().spawn(async move {
            reader::read_all(client, topics).await;
            read.store(true, Ordering::Relaxed);
        });
        let in_time = self.turn_until(END_WITHIN, |_| done.load(Ordering::Relaxed));
        assert!(in_time, "what is left cannot be read");
    }

    /// What the archive's files have. No broker gets on meanwhile.
    fn segments(&self) -> Vec<Fact> {
        self.machine.run(self.remains().segments())
    }

    fn remains(&self) -> Remains {
        Remains::new(&self.grounding.metadata, &self.grounding.objects)
    }
}

/// How long records are kept in topics that lose what is old, in milliseconds.
const RETENTION_MS: [u64; 3] = [5_000, 300_000, 1_000_000];

/// Who uses a cluster.
struct Begun {
    /// All topics that stay.
    topics: Vec<String>,
    chain: Option<Chain>,
}

/// Nothing goes.
fn kept() -> TopicSettings {
    TopicSettings { delete: true, delete_retention_ms: 86_400_000, ..TopicSettings::default() }
}

/// Lines for whoever repeats a seed.
pub fn describe(outcome: &Outcome) -> String {
    let mut text = format!("{:?}\n{}", outcome.options, outcome.history);
    text.push_str(&Report { history: &outcome.history, breaches: &outcome.breaches }.to_string());
    if let Some(panic) = &outcome.panic {
        text.push_str(&format!("panic: {panic}\n"));
    }
    text
}

/// Simulated time in hours.
pub fn hours(nanos: u64) -> f64 {
    std::time::Duration::from_nanos(nanos).as_secs_f64() / 3600.0
}

const _: () = assert!(SECOND > TURN);
