//! A small Kafka client of the simulation's own: one connection at a time, requests as they are, every wait with an end.

use crate::dice::Dice;
use crate::history::{Answer, Call, ClientId, Fact, History, Outcome, RequestNumber, Role, TopicId};
use crate::machine::{SECOND, now};
use crate::network::{CLIENTS, Life, Net, Node, Stream};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    FindCoordinatorRequest, MetadataRequest, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

/// A request without an answer for so long is given up with its connection.
pub const PATIENCE: Duration = Duration::from_secs(8);
/// The same of one that may wait for others, such as members of a group.
const LONG_PATIENCE: Duration = Duration::from_secs(20);

/// What all clients of a simulation share.
pub struct Clients {
    pub net: Arc<Net>,
    pub life: Life,
    pub brokers: u32,
    pub history: Mutex<History>,
    pub records: AtomicU64,
    /// Faults have ended.
    pub is_calm: AtomicBool,
    /// Nobody begins anything any more.
    pub is_over: AtomicBool,
    /// Who has got on since the faults ended, of those that have to.
    pub progress: Mutex<BTreeMap<ClientId, bool>>,
    /// Groups of which a member has committed since the faults ended.
    pub committing: Mutex<BTreeSet<String>>,
    /// Milliseconds since 1970 at the beginning.
    pub epoch_ms: i64,
}

impl Clients {
    pub fn next_record(&self) -> u64 {
        self.records.fetch_add(1, Ordering::Relaxed)
    }

    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    pub fn all_got_on(&self) -> bool {
        self.progress.lock().values().all(|got_on| *got_on)
    }

    pub fn is_calm(&self) -> bool {
        self.is_calm.load(Ordering::Relaxed)
    }

    pub fn fact_at(&self, at: u64, fact: Fact) {
        self.history.lock().fact(at, 0, fact);
    }
}

/// The connection is of no use any more: what was asked may have been done.
#[derive(Debug)]
pub struct Lost;

/// One connection.
pub struct Connection {
    pub broker: Node,
    stream: Stream,
    correlation_id: i32,
}

/// One client.
pub struct Client {
    pub shared: Arc<Clients>,
    pub id: ClientId,
    pub dice: Dice,
    connection: Option<Connection>,
    /// To the coordinators of groups and transactional ids that it has to do with.
    coordinators: BTreeMap<(i8, String), Connection>,
}

/// A topic as metadata tells it.
#[derive(Clone, Debug)]
pub struct Topic {
    pub name: String,
    pub id: TopicId,
    pub partitions: i32,
}

impl Client {
    pub fn new(shared: &Arc<Clients>, id: ClientId, dice: Dice) -> Client {
        Client { shared: Arc::clone(shared), id, dice, connection: None, coordinators: BTreeMap::new() }
    }

    /// Says that it is there and has to get on.
    pub fn started(&self, name: &str, role: Role) {
        self.shared.progress.lock().insert(self.id, false);
        self.fact(Fact::Started { name: name.to_owned(), role });
    }

    /// It need not get on any more.
    pub fn stopped(&self) {
        self.shared.progress.lock().remove(&self.id);
        self.fact(Fact::Stopped);
    }

    pub fn fact(&self, fact: Fact) {
        self.shared.history.lock().fact(now(), self.id, fact);
    }

    /// It has done what its role has it do.
    pub fn got_on(&self) {
        if self.shared.is_calm()
            && let Some(got_on) = self.shared.progress.lock().get_mut(&self.id)
        {
            *got_on = true;
        }
    }

    /// A member of this group has committed.
    pub fn group_got_on(&self, group: &str) {
        if self.shared.is_calm() {
            self.shared.committing.lock().insert(group.to_owned());
        }
        self.got_on();
    }

    /// It was told that it has nothing to read: it got on if others of its group did.
    pub fn got_on_with(&self, group: &str) {
        if self.shared.committing.lock().contains(group) {
            self.got_on();
        }
    }

    pub fn begins(&self, call: Call) -> RequestNumber {
        self.shared.history.lock().call(now(), self.id, self.broker(), call)
    }

    pub fn ends(&self, request: RequestNumber, outcome: Outcome) {
        self.shared.history.lock().end(now(), self.id, self.broker(), request, outcome);
    }

    /// Whether it ends without saying so. Nobody does who would be waited for once the faults have ended.
    pub fn vanishes(&self) -> bool {
        !self.shared.is_calm() && self.dice.permille(200)
    }

    pub fn broker(&self) -> Option<i32> {
        self.connection.as_ref().map(|connection| i32::try_from(connection.broker).expect("few brokers"))
    }

    /// Milliseconds since 1970 by this client's clock.
    pub fn wall_ms(&self) -> i64 {
        self.shared.epoch_ms + i64::try_from(now() / 1_000_000).expect("days")
    }

    /// Between two things that it does. Who has got on already takes its time while others have not.
    pub async fn pause(&self, millis: std::ops::Range<u64>) {
        let has_got_on = self.shared.progress.lock().get(&self.id) == Some(&true);
        let times = if has_got_on { 5 } else { 1 };
        sleep(Duration::from_millis(times * self.dice.between(millis))).await;
    }

    /// The connection, made to a broker of chance if there is none.
    pub async fn connected(&mut self) -> &mut Connection {
        while self.connection.is_none() {
            let broker = Node::try_from(1 + self.dice.below(u64::from(self.shared.brokers))).expect("few");
            let own = (CLIENTS + self.id, self.shared.life.clone());
            let connecting = timeout(Duration::from_secs(2), self.shared.net.connect(own, broker)).await;
            match connecting {
                Ok(Ok(stream)) => {
                    self.connection = Some(Connection { broker, stream, correlation_id: 0 });
                }
                _ => self.pause(20..200).await,
            }
        }
        self.connection.as_mut().expect("just made")
    }

    pub fn disconnect(&mut self) {
        self.connection = None;
    }

    /// One request and its answer. After an error the connection is gone.
    pub async fn ask<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response, Lost> {
        let connection = self.connected().await;
        let answer = timeout(PATIENCE, connection.ask(version, request)).await.unwrap_or(Err(Lost));
        if answer.is_err() {
            self.disconnect();
        }
        answer
    }

    /// One request to the coordinator of a group or a transactional id, which is looked for first. After an error the connection
    /// is gone.
    pub async fn ask_coordinator<R: Request>(
        &mut self,
        kind: i8,
        key: &str,
        version: i16,
        request: &R,
    ) -> Result<R::Response, Lost> {
        let which = (kind, key.to_owned());
        let mut connection = match self.coordinators.remove(&which) {
            Some(connection) => connection,
            None => match self.find_coordinator(kind, key).await {
                Some(connection) => connection,
                None => {
                    self.disconnect();
                    self.pause(20..200).await;
                    return Err(Lost);
                }
            },
        };
        let answer = timeout(LONG_PATIENCE, connection.ask(version, request)).await.unwrap_or(Err(Lost));
        if answer.is_ok() {
            self.coordinators.insert(which, connection);
        }
        answer
    }

    /// Whoever was a coordinator is it no more.
    pub fn leave_coordinators(&mut self) {
        self.coordinators.clear();
    }

    async fn find_coordinator(&mut self, kind: i8, key: &str) -> Option<Connection> {
        let request =
            FindCoordinatorRequest::default().with_key_type(kind).with_coordinator_keys(vec![text(key)]);
        let answer = self.ask(4, &request).await.ok()?;
        let found = answer.coordinators.into_iter().next().filter(|found| found.error_code == 0)?;
        let broker = Node::try_from(found.node_id.0).ok()?;
        let own = (CLIENTS + self.id, self.shared.life.clone());
        let connecting = timeout(Duration::from_secs(2), self.shared.net.connect(own, broker)).await;
        let stream = connecting.ok()?.ok()?;
        Some(Connection { broker, stream, correlation_id: 0 })
    }

    /// What the brokers tell of a topic; none: there is none, or nobody knows.
    pub async fn topic(&mut self, name: &str) -> Option<Topic> {
        let topic = MetadataRequestTopic::default().with_name(Some(TopicName(text(name))));
        let request =
            MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(false);
        self.connected().await;
        let call = self.begins(Call::DescribeTopic { name: name.to_owned() });
        let answer = self.ask(12, &request).await.ok();
        let found = answer.and_then(|answer| answer.topics.into_iter().next());
        let Some(found) = found.filter(|topic| topic.error_code == 0) else {
            self.ends(call, Outcome::Unknown);
            return None;
        };
        let id = TopicId(found.topic_id.as_u128());
        let partitions = i32::try_from(found.partitions.len()).expect("few partitions");
        self.ends(call, Outcome::Ok(Answer::Topic { topic: id, partitions }));
        Some(Topic { name: name.to_owned(), id, partitions })
    }

    /// The same, asked until somebody knows; none when all is over.
    pub async fn await_topic(&mut self, name: &str) -> Option<Topic> {
        loop {
            if let Some(topic) = self.topic(name).await {
                return Some(topic);
            }
            if self.shared.is_over() {
                return None;
            }
            self.disconnect();
            self.pause(100..500).await;
        }
    }
}

impl Connection {
    pub async fn ask<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response, Lost> {
        let id = self.send(version, request).await?;
        self.receive::<R>(version, id).await
    }

    pub async fn send<R: Request>(&mut self, version: i16, request: &R) -> Result<i32, Lost> {
        self.correlation_id += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(StrBytes::from_static_str("sim")));
        let mut message = BytesMut::new();
        message.put_i32(0);
        header.encode(&mut message, R::header_version(version)).expect("an encodable header");
        request.encode(&mut message, version).expect("an encodable request");
        let length = i32::try_from(message.len() - 4).expect("a small frame");
        message[..4].copy_from_slice(&length.to_be_bytes());
        self.stream.1.write_all(&message).await.map_err(|_| Lost)?;
        Ok(self.correlation_id)
    }

    pub async fn receive<R: Request>(&mut self, version: i16, id: i32) -> Result<R::Response, Lost> {
        let length = self.stream.0.read_i32().await.map_err(|_| Lost)?;
        let mut frame = vec![0; usize::try_from(length).expect("a length")];
        self.stream.0.read_exact(&mut frame).await.map_err(|_| Lost)?;
        let mut frame = Bytes::from(frame);
        let header = ResponseHeader::decode(&mut frame, R::Response::header_version(version));
        assert_eq!(header.expect("a header").correlation_id, id, "answers come in order");
        let answer = R::Response::decode(&mut frame, version).expect("a decodable answer");
        assert!(!frame.has_remaining(), "nothing comes after an answer");
        Ok(answer)
    }
}

/// A string of the protocol.
pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// So many seconds in nanoseconds.
pub const fn seconds(count: u64) -> u64 {
    count * SECOND
}
