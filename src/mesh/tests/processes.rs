//! Another process: killed, and stopped for a while. Only there does a kernel close what a process has open.

use super::support::{
    Manners, PATIENCE, SECRET, identity, is_echo, name, node, node_at, preamble, request, seen, seen_up, soon,
};
use crate::mesh::{MeshConfig, MeshName, PeerAddress, Reachability, TellTale};
use crate::types::{BrokerId, SessionId};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::Instant;

/// Which session the other process is; without it there is none.
const SESSION_VARIABLE: &str = "CENOTE_TEST_MESH_SESSION";
const BROKER: BrokerId = BrokerId(2);

/// A broker in a process of its own, which ends with this value.
struct Process {
    child: Child,
    name: MeshName,
    address: String,
}

impl Process {
    fn start() -> Process {
        let name = name(BROKER.0);
        let program = std::env::current_exe().expect("a test has a program");
        let mut child = Command::new(program)
            .args(["mesh::tests::processes::is_the_other_process_when_asked_to_be", "--exact", "--nocapture"])
            .env(SESSION_VARIABLE, name.session.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts again");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let address =
            lines.find_map(|line| line.ok()?.split_once("listens=").map(|(_, address)| address.to_owned()));
        Process { child, name, address: address.expect("it says where it listens") }
    }

    fn address(&self) -> PeerAddress {
        PeerAddress { broker: BROKER, session: self.name.session, address: self.address.clone() }
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process has an id");
        kill_process(id, signal).expect("it is ours");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What [`Process`] runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn is_the_other_process_when_asked_to_be() {
    let Ok(session) = std::env::var(SESSION_VARIABLE) else { return };
    let session: SessionId = session.parse().unwrap();
    let identity = identity(SECRET, MeshName { session, ..name(BROKER.0) });
    let node = node_at("127.0.0.1:0".parse().unwrap(), &identity, MeshConfig::default(), Manners::Echo).await;
    println!("listens={}", node.mesh.address());
    // Until the test that asked for it has ended, however it ended.
    let input = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    let _ = input.await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_is_gone_at_once() {
    let (one, process) = (node(1, Manners::Echo).await, Process::start());
    let peer = one.mesh.peer(process.address());
    seen_up(&peer).await;
    assert!(is_echo(&peer.call(&preamble(), request(1, 10), soon()).await, 1, 10));
    let killed_at = Instant::now();
    process.signal(Signal::KILL);
    let gone = |reachability| matches!(reachability, Reachability::Gone { .. });
    let sighting = seen(&peer, |sighting| gone(sighting.reachability)).await;
    let Reachability::Gone { at } = sighting.reachability else { panic!("as awaited") };
    let took = at.saturating_duration_since(killed_at);
    println!("gone {took:?} after kill -9");
    // Sooner than silence could tell, on a busy machine too.
    assert!(took < MeshConfig::default().timing.silence, "{took:?}");
    seen(&peer, |sighting| sighting.tell_tale == TellTale::Refused).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_process_is_silent_and_comes_back() {
    let (one, process) = (node(1, Manners::Echo).await, Process::start());
    let peer = one.mesh.peer(process.address());
    seen_up(&peer).await;
    let stopped_at = Instant::now();
    process.signal(Signal::STOP);
    let sighting = seen(&peer, |sighting| sighting.reachability != Reachability::Up).await;
    let took = stopped_at.elapsed();
    println!("silent {took:?} after SIGSTOP");
    assert!(matches!(sighting.reachability, Reachability::Silent { .. }), "{sighting:?}");
    assert_eq!(sighting.tell_tale, TellTale::Open, "its kernel keeps that");
    assert!(took < Duration::from_millis(1500), "{took:?}");
    process.signal(Signal::CONT);
    seen_up(&peer).await;
    assert!(is_echo(&peer.call(&preamble(), request(1, 10), Instant::now() + PATIENCE).await, 1, 10));
}
