//! etcd as child processes on free ports, one member or several: start, kill, restart, pause.
//!
//! The binary is that of `CENOTE_TEST_ETCD`, of `target/etcd`, where `tests/it/support/etcd/install.sh` puts it, or
//! `etcd` itself. Without one it is said what was not tested.

use super::ports::free_port;
use super::skip::{named_or_found, skipped};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const VARIABLE: &str = "CENOTE_TEST_ETCD";
const INSTALL: &str = "bash tests/it/support/etcd/install.sh (it takes Go), or Debian's etcd-server";
const READY_MAX: Duration = Duration::from_secs(60);
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A cluster of one test. Killed when dropped.
pub struct Etcd {
    binary: String,
    directory: TempDir,
    members: Vec<Member>,
    arguments: Vec<String>,
}

struct Member {
    client: u16,
    peer: u16,
    running: Option<Child>,
}

impl Etcd {
    /// A cluster of so many members that is ready; none, and a line that says so, on a machine without etcd.
    pub fn start(what: &str, members: usize) -> Option<Etcd> {
        Etcd::start_with(what, members, &[])
    }

    /// The same with more arguments.
    pub fn start_with(what: &str, members: usize, arguments: &[&str]) -> Option<Etcd> {
        let found = named_or_found(VARIABLE, Some(""), |named| match named {
            "" => installed().or_else(|_| runs("etcd")),
            named => runs(named),
        });
        let binary = match found {
            Ok(binary) => binary,
            Err(_) => {
                skipped(what, &format!("{INSTALL}, or {VARIABLE}=FILE"));
                return None;
            }
        };
        let member = |_| Member { client: free_port(), peer: free_port(), running: None };
        let mut etcd = Etcd {
            binary,
            directory: tempfile::tempdir().expect("a temporary directory"),
            members: (0..members).map(member).collect(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
        };
        let ready: Vec<_> = (0..members).map(|index| etcd.spawn(index)).collect();
        ready.iter().for_each(until_ready);
        Some(etcd)
    }

    /// The members' ports, in their order.
    pub fn ports(&self) -> Vec<u16> {
        self.members.iter().map(|member| member.client).collect()
    }

    /// `127.0.0.1:port`, with commas between.
    pub fn members(&self) -> String {
        let members: Vec<_> = self.ports().iter().map(|port| format!("127.0.0.1:{port}")).collect();
        members.join(",")
    }

    /// Ends a member as a power cut would.
    pub fn kill(&mut self, index: usize) {
        let mut child = self.members[index].running.take().expect("a running member");
        child.kill().expect("kill -9");
        child.wait().expect("the killed member's status");
    }

    /// Starts a killed member on its data, and waits until it serves.
    pub fn restart(&mut self, index: usize) {
        until_ready(&self.spawn(index));
    }

    /// Stops all members where they are.
    pub fn pause(&self) {
        (0..self.members.len()).for_each(|index| self.signal(index, "STOP"));
    }

    /// Lets all go on.
    pub fn resume(&self) {
        (0..self.members.len()).for_each(|index| self.signal(index, "CONT"));
    }

    /// Stops one member, or lets it go on.
    pub fn signal(&self, index: usize, name: &str) {
        let child = self.members[index].running.as_ref().expect("a running member");
        let sent = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status();
        assert!(sent.expect("the kill command").success(), "kill -{name}");
    }

    /// Which member leads; waits until one does.
    pub fn leader(&self) -> usize {
        let deadline = Instant::now() + READY_MAX;
        while Instant::now() < deadline {
            for (index, member) in self.members.iter().enumerate() {
                let metrics = http(member.client, "GET /metrics HTTP/1.0\r\n\r\n");
                if member.running.is_some()
                    && metrics.is_ok_and(|text| text.contains("\netcd_server_is_leader 1"))
                {
                    return index;
                }
            }
        }
        panic!("etcd has no leader within {READY_MAX:?}");
    }

    /// Asks the first member's JSON door, for what the tests need and the product does not.
    pub fn post(&self, path: &str, json: &str) -> String {
        self.try_post(path, json).unwrap_or_else(|answer| panic!("{path}: {answer}"))
    }

    /// The same; an error is an answer that is none of success.
    pub fn try_post(&self, path: &str, json: &str) -> Result<String, String> {
        let head = format!("POST {path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n", json.len());
        let answer = http(self.members[0].client, &format!("{head}{json}")).expect("etcd answers");
        if answer.contains(" 200 ") { Ok(answer) } else { Err(answer) }
    }

    /// Deletes keys, from and to in base64, gives their room back, and disarms the alarm of an etcd of one member that was full.
    pub fn make_room(&self, from: &str, to: &str) {
        let deleted = self.post("/v3/kv/deleterange", &format!(r#"{{"key":"{from}","range_end":"{to}"}}"#));
        let revision = text_after(&deleted, r#""revision":""#).expect("every answer has a revision");
        let compaction = format!(r#"{{"revision":"{revision}","physical":true}}"#);
        self.post("/v3/kv/compaction", &compaction);
        self.post("/v3/maintenance/defragment", "{}");
        let alarms = self.post("/v3/maintenance/alarm", r#"{"action":"GET"}"#);
        let member = text_after(&alarms, r#""memberID":""#).expect("an alarm");
        let disarm = format!(r#"{{"action":"DEACTIVATE","memberID":"{member}","alarm":"NOSPACE"}}"#);
        self.post("/v3/maintenance/alarm", &disarm);
    }

    fn spawn(&mut self, index: usize) -> Receiver<String> {
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let cluster = self.members.iter().enumerate();
        let cluster: Vec<_> =
            cluster.map(|(index, member)| format!("n{index}={}", url(member.peer))).collect();
        let member = &mut self.members[index];
        assert!(member.running.is_none(), "the member still runs");
        let secure = self.arguments.iter().any(|argument| argument.starts_with("--cert-file"));
        let client = if secure { url(member.client).replace("http", "https") } else { url(member.client) };
        let mut command = Command::new(&self.binary);
        command
            .args(["--name", &format!("n{index}"), "--log-level", "info"])
            .arg("--data-dir")
            .arg(self.directory.path().join(index.to_string()))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args([
                "--listen-peer-urls",
                &url(member.peer),
                "--initial-advertise-peer-urls",
                &url(member.peer),
            ])
            .args(["--initial-cluster", &cluster.join(","), "--initial-cluster-state", "new"])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the etcd binary");
        let log = BufReader::new(child.stderr.take().expect("a piped stderr"));
        let (sender, lines) = channel();
        // Read to its end, so that etcd never waits for us.
        std::thread::spawn(move || {
            log.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
        });
        member.running = Some(child);
        lines
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for child in self.members.iter_mut().filter_map(|member| member.running.as_mut()) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn installed() -> Result<String, String> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target");
    let places = target.into_iter().chain([own]).map(|place| place.join("etcd").join("etcd"));
    let found = places.map(|path| path.to_string_lossy().into_owned()).find_map(|path| runs(&path).ok());
    found.ok_or_else(|| "it was not installed".to_owned())
}

fn runs(binary: &str) -> Result<String, String> {
    let version = Command::new(binary).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    match version {
        Ok(status) if status.success() => Ok(binary.to_owned()),
        Ok(status) => Err(status.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

fn until_ready(lines: &Receiver<String>) {
    let deadline = Instant::now() + READY_MAX;
    let mut said = Vec::new();
    while let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        if line.contains("ready to serve client requests") {
            return;
        }
        said.push(line);
    }
    panic!("etcd is not ready within {READY_MAX:?}:\n{}", said.join("\n"));
}

/// What stands between `before` and the next quote.
fn text_after<'a>(answer: &'a str, before: &str) -> Option<&'a str> {
    answer.split_once(before)?.1.split('"').next()
}

fn http(port: u16, request: &str) -> std::io::Result<String> {
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_read_timeout(Some(ANSWER_MAX))?;
    socket.write_all(request.as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}
