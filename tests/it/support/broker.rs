//! The real binary as a child process on a temporary directory: start, `kill -9`, stop, start again.

use super::ports::free_port;
use super::raw::Client;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A broker takes milliseconds to start; a debug build on a busy machine may take seconds.
const START_DEADLINE: Duration = Duration::from_secs(30);
const EXIT_DEADLINE: Duration = Duration::from_secs(30);

/// A broker of its own for one test. Killed when dropped; its log is printed if the test failed.
pub struct Broker {
    data: TempDir,
    options: BrokerOptions,
    ports: Ports,
    running: Option<Child>,
    log: Arc<Mutex<String>>,
}

/// What a broker is started with, besides its directory and its ports.
#[derive(Clone, Default)]
pub struct BrokerOptions {
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
}

#[derive(Clone, Copy)]
struct Ports {
    kafka: u16,
    quic: u16,
    http: u16,
}

/// What the broker said at its start.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Announced {
    pub tcp: Option<SocketAddr>,
    pub quic: Option<SocketAddr>,
    pub http: Option<SocketAddr>,
}

impl BrokerOptions {
    /// Adds arguments after `cenote serve`.
    pub fn arguments(mut self, arguments: &[&str]) -> BrokerOptions {
        self.arguments.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// Sets an environment variable of the broker.
    pub fn variable(mut self, name: &str, value: &str) -> BrokerOptions {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// `cenote serve` on a directory with these settings, and no listeners named yet.
    pub fn command(&self, data: &Path) -> Command {
        let mut command = serve_command(data);
        command.args(&self.arguments);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts the broker and waits until it says `ready`.
    pub fn start(self) -> Broker {
        let data = tempfile::tempdir().expect("a temporary directory");
        if let Some(ports) = ports_of_control() {
            return Broker { data, options: self, ports, running: None, log: Arc::default() };
        }
        let ports = Ports { kafka: free_port(), quic: free_port(), http: free_port() };
        let mut broker = Broker { data, options: self, ports, running: None, log: Arc::default() };
        broker.start_again();
        broker
    }
}

/// With `CENOTE_IT_CONTROL=host:port` tests that need no process of their own run against that broker instead:
/// so the promises can be held against Apache Kafka itself.
fn ports_of_control() -> Option<Ports> {
    let address: SocketAddr = std::env::var("CENOTE_IT_CONTROL").ok()?.parse().expect("host:port");
    Some(Ports { kafka: address.port(), quic: 0, http: 0 })
}

/// Whether the tests run against another broker than Cenote.
pub fn is_control() -> bool {
    ports_of_control().is_some()
}

impl Broker {
    /// A broker with default settings.
    pub fn start() -> Broker {
        BrokerOptions::default().start()
    }

    /// Settings for a broker that is to be started.
    pub fn options() -> BrokerOptions {
        BrokerOptions::default()
    }

    /// Where it speaks Kafka over TCP.
    pub fn kafka(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports.kafka))
    }

    /// Where it speaks Kafka over QUIC.
    pub fn quic(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports.quic))
    }

    /// Where it serves health and metrics.
    pub fn http(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports.http))
    }

    /// `host:port` for clients that take a string.
    pub fn bootstrap(&self) -> String {
        self.kafka().to_string()
    }

    /// Where its state lies.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// A new connection that speaks the raw protocol.
    pub fn connect(&self) -> Client {
        Client::connect(self.kafka())
    }

    /// Ends it as a power cut would: no handler runs, nothing is flushed.
    pub fn kill(&mut self) {
        if is_control() {
            return;
        }
        let mut child = self.running.take().expect("a running broker");
        child.kill().expect("kill -9");
        child.wait().expect("the killed broker's status");
    }

    /// Asks it to stop with a signal such as `TERM`, and waits for its end.
    pub fn stop(&mut self, signal: &str) -> ExitStatus {
        let child = self.running.take().expect("a running broker");
        send_signal(&child, signal);
        wait_for_exit(child)
    }

    /// Sends it a signal such as `STOP`; it still counts as running.
    pub fn signal(&self, name: &str) {
        send_signal(self.running.as_ref().expect("a running broker"), name);
    }

    /// Whether it was started and not ended by us.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Starts it on the same directory and the same ports, and waits until it says `ready`.
    pub fn start_again(&mut self) -> Announced {
        if is_control() {
            return Announced::default();
        }
        assert!(self.running.is_none(), "the broker still runs");
        let mut child = self.command().spawn().expect("the cenote binary");
        keep_log(&mut child, &self.log);
        let lines = lines_of(child.stdout.take().expect("a piped stdout"));
        self.running = Some(child);
        let announced = self.wait_until_ready(&lines);
        assert_eq!(announced.tcp.map(|address| address.port()), Some(self.ports.kafka), "the port asked for");
        announced
    }

    /// `kill -9`, then a new start.
    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.start_again();
    }

    /// `cenote fsck` on its stores, for when it does not run.
    pub fn fsck(&self, arguments: &[&str]) -> Command {
        let mut command = cenote();
        command.arg("fsck").arg("--data").arg(self.data()).args(&self.options.arguments).args(arguments);
        command.envs(self.options.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Resident memory of the process, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let child = self.running.as_ref().expect("a running broker");
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("/proc of the broker");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a VmRSS line");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number of KiB")
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }

    fn command(&self) -> Command {
        let mut command = self.options.command(self.data.path());
        command
            .arg("--listen")
            .arg(format!("tcp://127.0.0.1:{}", self.ports.kafka))
            .arg("--listen")
            .arg(format!("quic://127.0.0.1:{}", self.ports.quic))
            .arg("--http")
            .arg(format!("127.0.0.1:{}", self.ports.http));
        command
    }

    fn wait_until_ready(&mut self, lines: &Receiver<String>) -> Announced {
        match read_announcement(lines) {
            Ok(announced) => announced,
            Err(why) => {
                let ended = self.running.as_mut().and_then(|child| child.try_wait().ok()).flatten();
                panic!("the broker did not become ready: {why}; exit: {ended:?}; log:\n{}", self.log());
            }
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(child) = &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            #[expect(clippy::print_stdout, reason = "the test harness keeps it for failed tests")]
            {
                println!("--- log of the broker ---\n{}--- end of its log ---", self.log());
            }
        }
    }
}

/// `cenote serve --data <data>` with captured output and none of the caller's `CENOTE_*` variables.
pub fn serve_command(data: &Path) -> Command {
    let mut command = cenote();
    command.arg("serve").arg("--data").arg(data);
    command
}

/// The binary under test, without settings from the environment of the test.
pub fn cenote() -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CENOTE_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Where cargo put the binary.
pub fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_cenote"))
}

/// Reads what a starting broker prints until its line `ready`.
pub fn read_announcement(lines: &Receiver<String>) -> Result<Announced, String> {
    let deadline = Instant::now() + START_DEADLINE;
    let mut announced = Announced::default();
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) if line.trim_start().starts_with("ready") => return Ok(announced),
            Ok(line) => announced.take_line(&line),
            Err(RecvTimeoutError::Timeout) => return Err("no line `ready` in time".into()),
            Err(RecvTimeoutError::Disconnected) => return Err("its output ended".into()),
        }
    }
}

impl Announced {
    fn take_line(&mut self, line: &str) {
        for word in line.split_whitespace() {
            let Some((scheme, address)) = word.split_once("://") else { continue };
            let Ok(address) = address.trim_end_matches('/').parse::<SocketAddr>() else { continue };
            match scheme {
                "tcp" => self.tcp = self.tcp.or(Some(address)),
                "quic" => self.quic = self.quic.or(Some(address)),
                "http" => self.http = self.http.or(Some(address)),
                _ => {}
            }
        }
    }
}

/// The lines of a pipe as they come; read to its end so that the writer never blocks.
pub fn lines_of(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    receiver
}

/// Sends a signal by its name without `SIG`.
pub fn send_signal(child: &Child, name: &str) {
    signal(child.id(), name);
}

fn signal(id: u32, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(id.to_string()).status();
    assert!(sent.expect("the kill command").success(), "kill -{name}");
}

/// Waits for the end of a process, with a deadline.
pub fn wait_for_exit(mut child: Child) -> ExitStatus {
    let id = child.id();
    let (sender, ended) = channel();
    std::thread::spawn(move || sender.send(child.wait()));
    if let Ok(status) = ended.recv_timeout(EXIT_DEADLINE) {
        return status.expect("the status of a child");
    }
    signal(id, "KILL");
    panic!("the process did not end within {EXIT_DEADLINE:?}");
}

fn keep_log(child: &mut Child, log: &Arc<Mutex<String>>) {
    let lines = BufReader::new(child.stderr.take().expect("a piped stderr")).lines();
    let log = Arc::clone(log);
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let mut log = log.lock().expect("the log");
            log.push_str(&line);
            log.push('\n');
        }
    });
}
