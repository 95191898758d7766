//! Brokers as processes: each on a machine of its own, from its start to its end, whatever ends it.

use crate::dice::Dice;
use crate::machine::{Machine, SECOND};
use crate::metadata::{Metadata, MetadataOf};
use crate::network::{Life, Net, NetOf, Node};
use crate::objects::{Objects, ObjectsOf};
use crate::settings::Settings;
use crate::tally::Tally;
use cenote::broker::{Broker, Foundation, Grounds, Neighbours};
use cenote::cache::Cache;
use cenote::clock::Clock;
use cenote::handler::{AdvertisedListener, ConnectionInfo};
use cenote::limits::MemoryBudget;
use cenote::mesh::ClientSecurity;
use cenote::metrics::Metrics;
use cenote::net::{self, Admission};
use cenote::ops::Readiness;
use cenote::store::ObjectStore;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What all processes run on.
#[derive(Clone)]
pub struct Grounding {
    pub net: Arc<Net>,
    pub objects: Arc<Objects>,
    pub metadata: Arc<Metadata>,
    pub tally: Tally,
    /// Milliseconds since 1970 at the beginning.
    pub epoch_ms: i64,
}

/// A broker of the cluster, whether its process is there or not.
pub struct Process {
    pub node: Node,
    grounding: Grounding,
    dice: Dice,
    running: Option<Running>,
    /// When another process begins, in nanoseconds.
    pub start_at: u64,
    paused: Option<u64>,
    /// How far its clock is off, in milliseconds.
    pub clock_off_ms: i64,
    wall: Arc<AtomicI64>,
    settings: Settings,
}

struct Running {
    machine: Machine,
    life: Life,
    stop: Arc<Notify>,
    ended: Arc<AtomicBool>,
}

/// Between the end of a process and the next, at least.
const START_PAUSE: u64 = SECOND / 5;

impl Process {
    pub fn new(node: Node, grounding: Grounding, dice: Dice, settings: Settings) -> Process {
        Process {
            node,
            grounding,
            dice,
            running: None,
            start_at: 0,
            paused: None,
            clock_off_ms: 0,
            wall: Arc::default(),
            settings,
        }
    }

    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Gives it its time up to a moment.
    pub fn run_until(&mut self, before: u64, moment: u64) {
        if self.paused.is_some() {
            return;
        }
        let wall =
            self.grounding.epoch_ms + i64::try_from(moment / 1_000_000).expect("days") + self.clock_off_ms;
        self.wall.store(wall, Ordering::Relaxed);
        if self.running.is_none() && self.start_at <= before {
            self.start(before);
        }
        let Some(running) = &self.running else { return };
        running.machine.run_until(moment);
        if running.ended.load(Ordering::Relaxed) {
            self.end(moment);
        }
    }

    fn start(&mut self, since: u64) {
        let (machine, life) = (Machine::new(since, self.dice.next()), Life::new());
        let (stop, ended) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
        if self.dice.permille(300) {
            self.settings = Settings::drawn(&self.dice);
        }
        let program = Program {
            node: self.node,
            grounding: self.grounding.clone(),
            settings: self.settings.clone(),
            clock: Clock::Manual(Arc::clone(&self.wall)),
            life: life.clone(),
            stop: Arc::clone(&stop),
        };
        let over = Arc::clone(&ended);
        machine.handle().spawn(async move {
            program.run().await;
            over.store(true, Ordering::Relaxed);
        });
        let (node, settings, off) = (self.node, &self.settings, self.clock_off_ms);
        self.grounding.tally.count("broker starts");
        self.grounding
            .tally
            .say(format!("broker {node} starts, its clock off by {off} ms, with {settings:?}"));
        self.running = Some(Running { machine, life, stop, ended });
    }

    fn end(&mut self, now: u64) {
        if let Some(running) = self.running.take() {
            running.life.end();
            drop(running.machine);
            self.grounding.net.on_ended(self.node);
        }
        self.paused = None;
        self.grounding.net.links.set_paused(self.node, false);
        self.start_at = self.start_at.max(now + START_PAUSE);
    }

    /// It ends in the middle of whatever it does; another process begins at a moment.
    pub fn kill(&mut self, now: u64, start_at: u64) {
        self.start_at = start_at;
        self.end(now);
    }

    /// It is asked to end.
    pub fn stop(&self) {
        if let Some(running) = &self.running {
            running.stop.notify_one();
        }
    }

    pub fn pause(&mut self, now: u64) {
        if self.running.is_some() && self.paused.is_none() {
            self.paused = Some(now);
            self.grounding.net.links.set_paused(self.node, true);
        }
    }

    pub fn resume(&mut self, now: u64) {
        if self.paused.take().is_some() {
            self.grounding.net.links.set_paused(self.node, false);
            if let Some(running) = &self.running {
                running.machine.leap_to(now);
            }
        }
    }
}

/// What a process does.
struct Program {
    node: Node,
    grounding: Grounding,
    settings: Settings,
    clock: Clock,
    life: Life,
    stop: Arc<Notify>,
}

const LISTENER: &str = "PLAINTEXT";
const PORT: u16 = 9092;

impl Program {
    async fn run(self) {
        let metrics = Arc::new(Metrics::new());
        let network =
            NetOf { net: Arc::clone(&self.grounding.net), node: self.node, life: self.life.clone() };
        let config = Arc::new(self.settings.config(self.node));
        let objects = ObjectsOf { objects: Arc::clone(&self.grounding.objects), node: self.node };
        let grounds = Grounds {
            config: Arc::clone(&config),
            listeners: vec![AdvertisedListener {
                name: LISTENER.to_owned(),
                host: format!("broker-{}", self.node),
                port: PORT,
                security: "PLAINTEXT",
            }],
            metrics: Arc::clone(&metrics),
            clock: self.clock.clone(),
            neighbours: Some(Neighbours::simulated(Arc::new(network))),
            metadata: Arc::new(MetadataOf { store: Arc::clone(&self.grounding.metadata), node: self.node }),
            store: ObjectStore::with_backend(Arc::new(objects), "simulated:"),
            cache: Cache::simulated(self.settings.cache_entries, Arc::clone(&metrics)),
        };
        let starting = async { Broker::start(Foundation::upon(grounds).await?).await };
        let broker = tokio::select! {
            started = starting => started,
            () = self.stop.notified() => return,
        };
        let mut broker = match broker {
            Ok(broker) => broker,
            Err(error) => {
                tracing::info!(%error, node = self.node, "a broker does not start");
                self.grounding.tally.happens("starts that failed", self.node);
                return;
            }
        };
        let serving = CancellationToken::new();
        let admission =
            Arc::new(Admission::new(1000, MemoryBudget::new(config.limits.request_memory_bytes), metrics));
        let context = net::Context {
            handler: broker.handler(),
            admission,
            limits: config.limits,
            stop: serving.clone(),
        };
        let readiness = Readiness::not_ready("starting");
        tokio::spawn(serve(Arc::clone(&self.grounding.net), (self.node, self.life.clone()), context));
        tokio::select! {
            error = broker.run(&readiness) => {
                tracing::info!(%error, node = self.node, "a broker ends");
            }
            () = self.stop.notified() => {
                broker.hand_over().await;
                serving.cancel();
                broker.close().await;
            }
        }
    }
}

/// Takes clients in.
async fn serve(net: Arc<Net>, (node, life): (Node, Life), context: net::Context) {
    let mut guests = net.open_door(node, life);
    while let Some((client, (reader, writer))) = guests.recv().await {
        if context.stop.is_cancelled() {
            return;
        }
        let context = context.clone();
        let [.., high, low] = client.to_be_bytes();
        let address = SocketAddr::new(Ipv4Addr::new(10, 1, high, low).into(), PORT);
        let info = ConnectionInfo::of_client(
            context.admission.next_number(),
            LISTENER.to_owned(),
            address,
            ClientSecurity::Plain,
        );
        tokio::spawn(async move {
            net::run(context, info, reader, writer).await;
        });
    }
}
