//! A cluster as processes: brokers with ports of their own, etcd, one store for all, and between them lines that can be
//! cut. Killed when dropped; `CENOTE_DRILL_LOGS` names a directory that has the brokers' logs then.

use super::broker::{Broker, BrokerOptions, cenote};
use super::clocks::MovedClocks;
use super::etcd::Etcd;
use super::link::{MeshLines, Rule, TcpLine, UdpLine};
use super::ports::free_port;
use super::s3_server::{BUCKET, S3Server};
use super::unique_name;
use crate::crash::delete_if_there;
use std::fmt;
use std::path::Path;
use std::time::Instant;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    pub brokers: usize,
    pub etcd_members: usize,
    pub store: StoreKind,
    /// More arguments for each broker.
    pub arguments: Vec<String>,
    /// Whether the clocks of its brokers can be moved.
    pub clocks_move: bool,
    /// The zone of each broker, the first for who comes after the last; none have one if it is empty.
    pub zones: Vec<String>,
}

/// Where objects lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    Directory,
    S3,
}

/// The brokers and what they need.
pub struct Cluster {
    /// What was done to it is told with the time since.
    pub began: Instant,
    plan: Plan,
    nodes: Vec<Node>,
    pub etcd: Etcd,
    store: Store,
    mesh: MeshLines,
    secret: String,
    clocks: Option<MovedClocks>,
    runtime: Runtime,
}

enum Store {
    Directory(TempDir),
    S3(S3Server),
}

/// A broker and the lines that lead from it and to it.
struct Node {
    broker: Broker,
    etcd: Vec<TcpLine>,
    store: Option<TcpLine>,
    /// Tell-tales of others.
    mesh_tcp: TcpLine,
    _mesh_udp: UdpLine,
    is_paused: bool,
}

fn metadata_of(etcd: &[TcpLine]) -> String {
    let members: Vec<String> = etcd.iter().map(|line| format!("127.0.0.1:{}", line.port())).collect();
    format!("etcd://{}/it", members.join(","))
}

impl Plan {
    /// So many brokers on one etcd and a directory.
    pub fn of(brokers: usize) -> Plan {
        Plan {
            brokers,
            etcd_members: 1,
            store: StoreKind::Directory,
            arguments: Vec::new(),
            clocks_move: false,
            zones: Vec::new(),
        }
    }

    /// Brokers in these zones.
    pub fn in_zones(zones: &[&str]) -> Plan {
        Plan { zones: zones.iter().map(ToString::to_string).collect(), ..Plan::of(zones.len()) }
    }

    pub fn on_s3(self) -> Plan {
        Plan { store: StoreKind::S3, ..self }
    }

    pub fn etcd(self, etcd_members: usize) -> Plan {
        Plan { etcd_members, ..self }
    }

    pub fn arguments(mut self, arguments: &[&str]) -> Plan {
        self.arguments.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// Brokers whose clocks can be moved.
    pub fn clocks_that_move(self) -> Plan {
        Plan { clocks_move: true, ..self }
    }
}

impl Cluster {
    /// Starts everything, and waits until all brokers are ready. None, and a line that says so, without etcd.
    pub fn start(what: &str, plan: Plan) -> Option<Cluster> {
        let etcd = Etcd::start(what, plan.etcd_members)?;
        let store = match plan.store {
            StoreKind::Directory => Store::Directory(tempfile::tempdir().expect("a temporary directory")),
            StoreKind::S3 => Store::S3(S3Server::start()),
        };
        let clocks = if plan.clocks_move { Some(MovedClocks::build()) } else { None };
        let brokers = plan.brokers;
        let mut cluster = Cluster {
            began: Instant::now(),
            plan,
            nodes: Vec::new(),
            etcd,
            store,
            mesh: MeshLines::default(),
            secret: unique_name("secret-of-the-brokers"),
            clocks,
            runtime: Runtime::new().expect("a runtime"),
        };
        while cluster.len() < brokers {
            cluster.join();
        }
        Some(cluster)
    }

    /// One more broker; its number.
    pub fn join(&mut self) -> usize {
        let number = self.nodes.len();
        let runtime = self.runtime.handle();
        let (mesh_port, mesh_line) = (free_port(), free_port());
        let mesh_tcp = TcpLine::open(runtime, mesh_line, mesh_port);
        let mesh_udp = UdpLine::open(runtime, mesh_line, mesh_port, number, &self.mesh);
        let etcd: Vec<TcpLine> =
            self.etcd.ports().into_iter().map(|port| TcpLine::open(runtime, free_port(), port)).collect();
        let store = match &self.store {
            Store::Directory(_) => None,
            Store::S3(server) => Some(TcpLine::open(runtime, free_port(), server.address().port())),
        };
        let options = self.options(number, (mesh_port, mesh_line), &etcd, store.as_ref());
        let broker = options.start();
        self.nodes.push(Node { broker, etcd, store, mesh_tcp, _mesh_udp: mesh_udp, is_paused: false });
        number
    }

    fn options(
        &self,
        number: usize,
        (mesh_port, mesh_line): (u16, u16),
        etcd: &[TcpLine],
        store: Option<&TcpLine>,
    ) -> BrokerOptions {
        let mut options =
            Broker::options().arguments(&["--metadata", &metadata_of(etcd), "--store", &self.store_of()]);
        options = options.arguments(&["--broker-id", &(number + 1).to_string()]);
        if let Some(zone) = self.plan.zones.iter().cycle().nth(number) {
            options = options.arguments(&["--zone", zone]);
        }
        options = options.arguments(&["--mesh-listen", &format!("127.0.0.1:{mesh_port}")]);
        options = options.arguments(&["--mesh-advertised", &format!("127.0.0.1:{mesh_line}")]);
        options = options.variable("CENOTE_CLUSTER_SECRET", &self.secret);
        let mut variables = self.store_variables(store);
        variables.extend(self.clocks.iter().flat_map(|clocks| clocks.variables(number)));
        for (name, value) in variables {
            options = options.variable(name, &value);
        }
        let arguments: Vec<&str> = self.plan.arguments.iter().map(String::as_str).collect();
        options.arguments(&arguments)
    }

    /// Kills all, and has `cenote fsck` look at every byte that they left; what it says.
    pub fn check_stores(&mut self) -> Result<(), String> {
        for number in 0..self.len() {
            self.kill(number);
        }
        let node = &self.nodes[0];
        let mut fsck = cenote();
        fsck.arg("fsck").arg("--data").arg(node.broker.data());
        fsck.args(["--metadata", &metadata_of(&node.etcd), "--store", &self.store_of()]);
        fsck.envs(self.store_variables(node.store.as_ref()));
        let output = fsck.output().expect("the cenote binary");
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(()) } else { Err(said.into_owned()) }
    }

    fn store_of(&self) -> String {
        match &self.store {
            Store::S3(_) => format!("s3://{BUCKET}/p"),
            Store::Directory(directory) => format!("file://{}", directory.path().display()),
        }
    }

    /// What a process needs to reach the store through its line.
    fn store_variables(&self, line: Option<&TcpLine>) -> Vec<(&'static str, String)> {
        match (&self.store, line) {
            (Store::S3(server), Some(line)) => {
                let endpoint = ("AWS_ENDPOINT", format!("http://127.0.0.1:{}", line.port()));
                server.variables().into_iter().chain([endpoint]).collect()
            }
            (Store::S3(_), None) | (Store::Directory(_), _) => Vec::new(),
        }
    }

    /// How many brokers there are, running or not.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// One of them.
    pub fn broker(&self, number: usize) -> &Broker {
        &self.nodes[number].broker
    }

    /// All addresses.
    pub fn bootstrap(&self) -> String {
        let addresses: Vec<String> = self.nodes.iter().map(|node| node.broker.bootstrap()).collect();
        addresses.join(",")
    }

    /// The server of the store, if it is one.
    pub fn s3(&self) -> &S3Server {
        match &self.store {
            Store::S3(server) => server,
            Store::Directory(_) => panic!("the store of this cluster is a directory"),
        }
    }

    #[expect(clippy::print_stdout, reason = "the test harness keeps it for failed tests")]
    fn note(&self, what: fmt::Arguments<'_>) {
        println!("{:?}: {what}", self.began.elapsed());
    }

    /// `kill -9`: nobody listens at its mesh port from then on, as if there were no line before it.
    pub fn kill(&mut self, number: usize) {
        self.note(format_args!("kill -9 {number}"));
        let runtime = self.runtime.handle();
        let node = &mut self.nodes[number];
        node.mesh_tcp.set(runtime, Rule::Closed);
        node.broker.kill();
        node.is_paused = false;
    }

    /// SIGTERM, and its end awaited.
    pub fn stop(&mut self, number: usize) {
        self.note(format_args!("SIGTERM {number}"));
        let status = self.nodes[number].broker.stop("TERM");
        self.nodes[number].mesh_tcp.set(self.runtime.handle(), Rule::Cut);
        assert!(status.success(), "a broker that is asked to stop ends well: {status}");
    }

    /// Starts one that was killed or stopped.
    pub fn start_again(&mut self, number: usize) {
        self.note(format_args!("start {number}"));
        let node = &mut self.nodes[number];
        node.mesh_tcp.set(self.runtime.handle(), Rule::PASS);
        node.broker.start_again();
    }

    /// SIGSTOP.
    pub fn pause(&mut self, number: usize) {
        self.note(format_args!("SIGSTOP {number}"));
        self.nodes[number].broker.signal("STOP");
        self.nodes[number].is_paused = true;
    }

    /// SIGCONT.
    pub fn resume(&mut self, number: usize) {
        self.note(format_args!("SIGCONT {number}"));
        self.nodes[number].broker.signal("CONT");
        self.nodes[number].is_paused = false;
    }

    /// What a broker's lines to etcd do.
    pub fn set_etcd(&self, number: usize, rule: Rule) {
        self.note(format_args!("etcd of {number}: {rule:?}"));
        let runtime = self.runtime.handle();
        self.nodes[number].etcd.iter().for_each(|line| line.set(runtime, rule));
    }

    /// What a broker's line to the store does.
    pub fn set_store(&self, number: usize, rule: Rule) {
        self.note(format_args!("store of {number}: {rule:?}"));
        let line = self.nodes[number].store.as_ref().expect("a store behind a line");
        line.set(self.runtime.handle(), rule);
    }

    /// Nothing that one broker sends over the mesh reaches the other. Its tell-tale stays: it is silent anyway.
    pub fn cut_mesh(&self, from: usize, to: usize) {
        self.note(format_args!("mesh from {from} to {to} is cut"));
        self.mesh.cuts.lock().expect("the cuts").insert((from, to));
    }

    /// Nothing goes from a broker or to it over the mesh.
    pub fn isolate(&self, number: usize) {
        self.note(format_args!("{number} is alone on the mesh"));
        let others = (0..self.len()).filter(|other| *other != number);
        others.for_each(|other| {
            self.cut_mesh(number, other);
            self.cut_mesh(other, number);
        });
        self.nodes[number].mesh_tcp.set(self.runtime.handle(), Rule::HOLD);
    }

    /// A broker's clock is so many seconds off, from now on.
    pub fn move_clock(&self, number: usize, seconds: i64) {
        self.note(format_args!("clock of {number}: {seconds} s"));
        self.clocks.as_ref().expect("clocks that move").set(number, seconds);
    }

    /// Deletes what a broker has on its own disk as a cache.
    pub fn lose_cache(&self, number: usize) {
        self.note(format_args!("cache of {number} is lost"));
        delete_if_there(&self.broker(number).data().join("cache"));
    }

    /// All lines carry again, what was paused goes on, and what was killed starts.
    pub fn heal(&mut self) {
        self.note(format_args!("all is healed"));
        self.mesh.cuts.lock().expect("the cuts").clear();
        let runtime = self.runtime.handle();
        for node in &mut self.nodes {
            let lines = node.etcd.iter().chain(&node.store).chain([&node.mesh_tcp]);
            lines.for_each(|line| line.set(runtime, Rule::PASS));
            if node.is_paused {
                node.broker.signal("CONT");
                node.is_paused = false;
            }
        }
        if let Store::S3(server) = &self.store {
            server.behave();
        }
        for node in &mut self.nodes {
            if !node.broker.is_running() {
                node.broker.start_again();
            }
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let Ok(directory) = std::env::var("CENOTE_DRILL_LOGS") else { return };
        for (number, node) in self.nodes.iter().enumerate() {
            let file = Path::new(&directory).join(format!("{}-{number}.log", self.secret));
            // Whoever wants the logs sees that there are none.
            let _ = std::fs::write(file, node.broker.log());
        }
    }
}
