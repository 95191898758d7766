//! One Kafka connection: requests go out in the order of [`Connection::send`], answers come back in it.
//!
//! Two tasks own the halves of the stream. The writer puts a request's promise into the queue before its
//! bytes go out; the reader takes the front of the queue for each answer and checks its correlation id.
//! Requests in flight are bounded, each has a deadline; a deadline that passes closes the connection, as what
//! follows on it could no longer be told apart from what was given up.

use super::transport::{Dialer, ReadHalf, WriteHalf, connect_error};
use super::versions::{Offered, spoken};
use super::{ClientConfig, ClientError, Endpoint};
use crate::wire::messages::{ApiVersionsRequest, ApiVersionsResponse};
use crate::wire::{Request, RequestHeader, StrBytes, decode_response, encode_request};
use bytes::{Buf, Bytes, BytesMut};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// A Kafka connection. Clones share it; it closes when the last one is dropped.
#[derive(Clone, Debug)]
pub struct Connection {
    link: Arc<Link>,
}

#[derive(Debug)]
struct Link {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Outgoing>,
    in_flight: Arc<Semaphore>,
    offered: Offered,
    correlation_id: AtomicI32,
    client_id: String,
    request_timeout: Duration,
}

/// What the handles and both tasks share.
#[derive(Debug)]
struct Shared {
    endpoint: String,
    waiting: Mutex<VecDeque<Waiting>>,
    closed: CancellationToken,
    reason: Mutex<String>,
}

#[derive(Debug)]
struct Outgoing {
    frame: Bytes,
    waiting: Option<Waiting>,
    written: Option<oneshot::Sender<()>>,
}

/// A request that was written and whose answer is to come.
#[derive(Debug)]
struct Waiting {
    correlation_id: i32,
    answer: oneshot::Sender<Bytes>,
    _permit: OwnedSemaphorePermit,
}

/// The promise of an answer.
#[derive(Debug)]
pub struct Answer<R> {
    link: Arc<Link>,
    api_version: i16,
    deadline: Duration,
    receiver: oneshot::Receiver<Bytes>,
    response: PhantomData<fn() -> R>,
}

/// Requests that wait for their answers at once; Java's default of 5 holds per producer, above this.
const IN_FLIGHT_MAX: usize = 64;
/// Longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Memory is taken in steps as bytes come, whatever a length claims.
const READ_STEP_BYTES: usize = 1 << 20;
const READ_LEAST_BYTES: usize = 16 << 10;

impl Connection {
    /// Connects and learns the broker's versions, within the connect timeout.
    pub(super) async fn open(
        dialer: &Dialer,
        endpoint: &Endpoint,
        config: &ClientConfig,
    ) -> Result<Connection, ClientError> {
        let opening = async {
            let (read, write) = dialer.dial(endpoint).await?;
            Connection::greet(start(endpoint, read, write, config)).await
        };
        match tokio::time::timeout(config.connect_timeout, opening).await {
            Ok(opened) => opened,
            Err(_) => {
                let reason = format!("no answer within {} ms", config.connect_timeout.as_millis());
                Err(connect_error(endpoint, &reason))
            }
        }
    }

    /// Asks for the versions: with the newest form first, then with the oldest (KIP-511).
    async fn greet(mut link: Link) -> Result<Connection, ClientError> {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("cenote"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let mut answer: ApiVersionsResponse = {
            let (frame, correlation_id) = link.encode(&request, 3)?;
            let bytes = link.greet_call(frame, correlation_id).await?;
            match decode_response(bytes.clone(), 3) {
                Ok((_, answer)) => answer,
                Err(_) => link.decode::<ApiVersionsResponse>(bytes, 0)?,
            }
        };
        if answer.error_code == 35 {
            let (frame, correlation_id) = link.encode(&ApiVersionsRequest::default(), 0)?;
            answer = link.decode(link.greet_call(frame, correlation_id).await?, 0)?;
        }
        ClientError::check(answer.error_code, None, || format!("versions of {}", link.shared.endpoint))?;
        let ranges = answer.api_keys.iter().map(|api| (api.api_key, api.min_version, api.max_version));
        link.offered = Offered::new(ranges);
        Ok(Connection { link: Arc::new(link) })
    }

    /// Whether it is of no more use.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.link.shared.closed.is_cancelled()
    }

    /// Sends `request` and awaits its answer.
    pub async fn call<R: Request>(&self, request: &R) -> Result<R::Response, ClientError> {
        self.send(request, Duration::ZERO).await?.wait().await
    }

    /// Hands `request` to the writer: requests are written in the order of these calls. Waits only while too
    /// many are in flight. `patience` is added to the deadline, for requests that ask the broker to wait.
    pub async fn send<R: Request>(
        &self,
        request: &R,
        patience: Duration,
    ) -> Result<Answer<R::Response>, ClientError> {
        let api_version = self.version_of::<R>()?;
        let (frame, correlation_id) = self.link.encode(request, api_version)?;
        let receiver = self.link.submit(frame, correlation_id).await?;
        let deadline = self.link.request_timeout + patience;
        Ok(Answer { link: Arc::clone(&self.link), api_version, deadline, receiver, response: PhantomData })
    }

    /// Sends a request that has no answer (acks=0), and waits until it is written.
    pub async fn send_silent<R: Request>(&self, request: &R) -> Result<(), ClientError> {
        let (frame, _) = self.link.encode(request, self.version_of::<R>()?)?;
        let (written, done) = oneshot::channel();
        let outgoing = Outgoing { frame, waiting: None, written: Some(written) };
        self.link.requests.send(outgoing).await.map_err(|_| self.link.shared.error())?;
        done.await.map_err(|_| self.link.shared.error())
    }

    /// The version in which a request will be written.
    pub fn version_of<R: Request>(&self) -> Result<i16, ClientError> {
        self.link.offered.best(R::KEY).ok_or_else(|| {
            let (min, max) = spoken(R::KEY);
            ClientError::Unsupported {
                endpoint: self.link.shared.endpoint.clone(),
                api_key: R::KEY,
                min,
                max,
            }
        })
    }
}

impl<R: crate::wire::Decodable + crate::wire::HeaderVersion> Answer<R> {
    /// The answer. An error other than [`ClientError::Unreadable`] leaves open whether the request was served.
    pub async fn wait(self) -> Result<R, ClientError> {
        let shared = &self.link.shared;
        match tokio::time::timeout(self.deadline, self.receiver).await {
            Ok(Ok(bytes)) => self.link.decode(bytes, self.api_version),
            Ok(Err(_)) => Err(shared.error()),
            Err(_) => {
                let timeout_ms = self.deadline.as_millis();
                shared.close(&format!("no answer within {timeout_ms} ms"));
                Err(ClientError::Timeout { endpoint: shared.endpoint.clone(), timeout_ms })
            }
        }
    }
}

impl Link {
    fn encode<R: Request>(&self, request: &R, api_version: i16) -> Result<(Bytes, i32), ClientError> {
        let correlation_id = self.correlation_id.fetch_add(1, Ordering::Relaxed);
        let client_id = Some(self.client_id.clone());
        let header = RequestHeader { api_key: R::KEY, api_version, correlation_id, client_id };
        let frame = encode_request(&header, request).map_err(|error| self.unreadable(&error))?;
        Ok((frame, correlation_id))
    }

    async fn submit(
        &self,
        frame: Bytes,
        correlation_id: i32,
    ) -> Result<oneshot::Receiver<Bytes>, ClientError> {
        let permit = Arc::clone(&self.in_flight).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        let (answer, receiver) = oneshot::channel();
        let waiting = Some(Waiting { correlation_id, answer, _permit: permit });
        let outgoing = Outgoing { frame, waiting, written: None };
        if self.shared.closed.is_cancelled() || self.requests.send(outgoing).await.is_err() {
            return Err(self.shared.error());
        }
        Ok(receiver)
    }

    async fn greet_call(&self, frame: Bytes, correlation_id: i32) -> Result<Bytes, ClientError> {
        self.submit(frame, correlation_id).await?.await.map_err(|_| self.shared.error())
    }

    fn decode<R: crate::wire::Decodable + crate::wire::HeaderVersion>(
        &self,
        bytes: Bytes,
        api_version: i16,
    ) -> Result<R, ClientError> {
        let decoded = decode_response(bytes, api_version).map_err(|error| self.unreadable(&error));
        decoded.map(|(_, response)| response)
    }

    fn unreadable(&self, reason: &dyn std::fmt::Display) -> ClientError {
        ClientError::Unreadable { endpoint: self.shared.endpoint.clone(), reason: reason.to_string() }
    }
}

impl Shared {
    fn close(&self, reason: &str) {
        {
            let mut first = self.reason.lock();
            if first.is_empty() {
                reason.clone_into(&mut first);
            }
        }
        self.closed.cancel();
        self.waiting.lock().clear();
    }

    fn error(&self) -> ClientError {
        let reason = self.reason.lock().clone();
        let reason = if reason.is_empty() { "the peer went away".to_owned() } else { reason };
        ClientError::Closed { endpoint: self.endpoint.clone(), reason }
    }
}

fn start(endpoint: &Endpoint, read: ReadHalf, write: WriteHalf, config: &ClientConfig) -> Link {
    let shared = Arc::new(Shared {
        endpoint: endpoint.to_string(),
        waiting: Mutex::new(VecDeque::new()),
        closed: CancellationToken::new(),
        reason: Mutex::new(String::new()),
    });
    let (requests, outgoing) = mpsc::channel(IN_FLIGHT_MAX);
    tokio::spawn(run_writer(Arc::clone(&shared), write, outgoing));
    tokio::spawn(run_reader(Arc::clone(&shared), read));
    Link {
        shared,
        requests,
        in_flight: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
        offered: Offered::default(),
        correlation_id: AtomicI32::new(1),
        client_id: config.client_id.clone(),
        request_timeout: config.request_timeout,
    }
}

/// Ends when all handles are gone (after the last request is out) or the connection is closed.
async fn run_writer(shared: Arc<Shared>, mut write: WriteHalf, mut outgoing: mpsc::Receiver<Outgoing>) {
    loop {
        let next = tokio::select! {
            biased;
            () = shared.closed.cancelled() => None,
            next = outgoing.recv() => next,
        };
        let Some(next) = next else { break };
        if let Err(error) = write_one(&shared, &mut write, next, outgoing.is_empty()).await {
            shared.close(&error.to_string());
        }
    }
    write.finish().await;
    shared.close("this side closed it");
}

async fn write_one(
    shared: &Shared,
    write: &mut WriteHalf,
    next: Outgoing,
    last_of_burst: bool,
) -> std::io::Result<()> {
    if let Some(waiting) = next.waiting {
        shared.waiting.lock().push_back(waiting);
    }
    tokio::select! {
        () = shared.closed.cancelled() => return Ok(()),
        written = write.write(next.frame) => written?,
    }
    if last_of_burst || next.written.is_some() {
        write.flush().await?;
    }
    if let Some(written) = next.written {
        let _nobody_waits = written.send(());
    }
    Ok(())
}

async fn run_reader(shared: Arc<Shared>, mut read: ReadHalf) {
    let mut buffer = BytesMut::with_capacity(READ_LEAST_BYTES);
    let reason = tokio::select! {
        () = shared.closed.cancelled() => return,
        reason = read_answers(&shared, &mut read, &mut buffer) => reason,
    };
    shared.close(&reason);
}

/// Answers one request after another; returns why it ended.
async fn read_answers(shared: &Shared, read: &mut ReadHalf, buffer: &mut BytesMut) -> String {
    loop {
        match take_frame(buffer) {
            Ok(Taken::Frame(frame)) => {
                let waiting = shared.waiting.lock().pop_front();
                let id = frame.get(..4).map(|mut id| id.get_i32());
                match waiting {
                    Some(waiting) if Some(waiting.correlation_id) == id => drop(waiting.answer.send(frame)),
                    _ => return format!("an answer (correlation id {id:?}) that nobody waits for"),
                }
            }
            Ok(Taken::Needs(bytes)) => {
                buffer.reserve(bytes.clamp(READ_LEAST_BYTES, READ_STEP_BYTES));
                match read.read_buf(buffer).await {
                    Ok(0) => return "the peer closed it".to_owned(),
                    Ok(_) => {}
                    Err(error) => return error.to_string(),
                }
            }
            Err(length) => return no_frame(length),
        }
    }
}

/// What bytes that cannot be a length mean: a TLS alert, an answer of HTTP, or nothing that is known.
fn no_frame(length: i32) -> String {
    match &length.to_be_bytes() {
        [0x15, 0x03, ..] => "TLS is spoken there: its address begins with tls://".to_owned(),
        b"HTTP" => "HTTP is spoken there, not Kafka".to_owned(),
        _ => format!("a frame of {length} bytes, over the cap of {ANSWER_BYTES_MAX}"),
    }
}

enum Taken {
    Frame(Bytes),
    Needs(usize),
}

/// The next frame without its length, or how many bytes are missing; a length beyond the cap is an error.
fn take_frame(buffer: &mut BytesMut) -> Result<Taken, i32> {
    let Some(mut prefix) = buffer.get(..4) else { return Ok(Taken::Needs(4 - buffer.len())) };
    let length = prefix.get_i32();
    let bytes = usize::try_from(length).ok().filter(|bytes| *bytes <= ANSWER_BYTES_MAX).ok_or(length)?;
    if buffer.len() < 4 + bytes {
        return Ok(Taken::Needs(4 + bytes - buffer.len()));
    }
    buffer.advance(4);
    Ok(Taken::Frame(buffer.split_to(bytes).freeze()))
}
