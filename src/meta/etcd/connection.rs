//! The connection to one member of etcd, and the task that owns it: it connects, watches that the member is alive and has
//! a leader, and goes to the next member when it is not.
//!
//! ```text
//! connect ──▶ authenticate ──▶ pulse ──▶ published ──▶ the pulse ends, or a call reports a failure ──▶ next member
//! ```
//!
//! The *pulse* is a watch upon a key that nobody writes. It keeps a stream open, without which etcd does not allow HTTP/2
//! pings on an idle connection; etcd ends it when the member loses its leader, the pings when the member is silent.
//! What is under way on a connection that is given up goes on there, until its own time limit.

use super::api::{
    AuthenticateRequest, AuthenticateResponse, WatchCreateRequest, WatchRequest, WatchResponse,
};
use super::api::{WatchUnion, method};
use super::call::Failure;
use super::files;
use super::verdict::{Verdict, cancelled, verdict};
use crate::clock;
use crate::config::{EtcdConfig, Login};
use futures_util::stream::{self, Stream, StreamExt};
use http::uri::PathAndQuery;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

/// From the first packet to the pulse.
const CONNECT_MAX: Duration = Duration::from_millis(1_500);
/// etcd takes pings for abuse that come more often than every five seconds.
const PING_INTERVAL: Duration = Duration::from_secs(6);
const PING_ANSWER_MAX: Duration = Duration::from_secs(3);
/// After a round in which no member could be reached.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_millis(400);
/// Longest answer that is taken: gRPC's usual limit.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// The pulse's key, below the prefix.
const PULSE: &str = "pulse";

/// A connection that works, or did a moment ago.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    /// Grows with every connection.
    pub number: u64,
    channel: Channel,
    token: Option<MetadataValue<Ascii>>,
}

/// What the owner of the connection publishes.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub connection: Option<Connection>,
    /// Why there is none: [`Failure::Refused`] if a member does not let us in, [`Failure::Unknown`] if none answers.
    pub trouble: Option<Failure>,
}

impl Connection {
    /// One request, one answer.
    pub(super) async fn unary<Q, A>(&self, method: &'static str, request: Q) -> Result<A, Status>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let mut grpc = self.ready().await?;
        let codec = ProstCodec::<Q, A>::default();
        let answer = grpc.unary(self.with_headers(request), PathAndQuery::from_static(method), codec).await?;
        Ok(answer.into_inner())
    }

    /// A stream of answers; it ends when the requests do.
    pub(super) async fn stream<Q, A>(
        &self,
        method: &'static str,
        requests: impl Stream<Item = Q> + Send + 'static,
    ) -> Result<Streaming<A>, Status>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let mut grpc = self.ready().await?;
        let codec = ProstCodec::<Q, A>::default();
        let answers =
            grpc.streaming(self.with_headers(requests), PathAndQuery::from_static(method), codec).await?;
        Ok(answers.into_inner())
    }

    /// A watch, up to the answer that it was made. What it tells comes next.
    pub(super) async fn watch(
        &self,
        create: WatchCreateRequest,
    ) -> Result<(WatchResponse, Streaming<WatchResponse>), Status> {
        let request = WatchRequest { request: Some(WatchUnion::Create(create)) };
        // A stream of requests that ended would end the watch.
        let requests = stream::iter([request]).chain(stream::pending());
        let mut answers: Streaming<WatchResponse> = self.stream(method::WATCH, requests).await?;
        match answers.message().await? {
            Some(first) => Ok((first, answers)),
            None => Err(Status::new(Code::Unavailable, "the watch ended before it began")),
        }
    }

    async fn ready(&self) -> Result<Grpc<Channel>, Status> {
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX);
        grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
        Ok(grpc)
    }

    /// Members without a leader refuse at once what has `hasleader`, and end such streams when they lose it.
    fn with_headers<Q>(&self, message: Q) -> Request<Q> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        if let Some(token) = &self.token {
            request.metadata_mut().insert("token", token.clone());
        }
        request
    }
}

/// Owns the connection.
pub(super) struct Connector {
    members: Vec<(String, Endpoint)>,
    first_turn: usize,
    login: Option<Login>,
    pulse_key: String,
    state: watch::Sender<State>,
    /// The greatest number of a connection on which a call failed.
    failed: watch::Receiver<u64>,
    closing: CancellationToken,
}

impl Connector {
    /// A connector for `config`; an error says which file is of no use.
    pub(super) fn new(
        config: &EtcdConfig,
        state: watch::Sender<State>,
        failed: watch::Receiver<u64>,
        closing: CancellationToken,
    ) -> Result<Connector, String> {
        let tls = config.tls.as_ref().map(files::read).transpose().map_err(|error| error.to_string())?;
        let members = config.members.iter().map(|member| {
            let endpoint = endpoint(member, tls.clone()).map_err(|error| format!("{member}: {error}"))?;
            Ok((member.clone(), endpoint))
        });
        Ok(Connector {
            members: members.collect::<Result<_, String>>()?,
            first_turn: usize::from(clock::random_id().as_bytes()[0]),
            login: config.login.clone(),
            pulse_key: format!("{}{PULSE}", config.prefix),
            state,
            failed,
            closing,
        })
    }

    /// Keeps a connection until the store is closed.
    pub(super) async fn run(mut self) {
        let mut pause = PAUSE_MIN;
        let mut failures = 0;
        for number in 1.. {
            let (member, endpoint) = self.turn_of(number);
            let member = member.clone();
            match self.connect(endpoint, number).await {
                Ok((connection, pulse)) => {
                    tracing::info!(member, "connected to etcd");
                    self.state.send_replace(State { connection: Some(connection), trouble: None });
                    (failures, pause) = (0, PAUSE_MIN);
                    let why = self.until_broken(number, pulse).await;
                    self.report(&member, Failure::Unknown(why));
                }
                Err(why) => {
                    self.report(&member, why);
                    failures += 1;
                }
            }
            if failures == self.members.len() {
                // All had their turn.
                let _elapsed = tokio::time::timeout(pause, self.closing.cancelled()).await;
                (failures, pause) = (0, (pause * 2).min(PAUSE_MAX));
            }
            if self.closing.is_cancelled() {
                return;
            }
        }
    }

    /// The members in turn, from one that is not the same for all brokers that start together.
    fn turn_of(&self, number: u64) -> &(String, Endpoint) {
        let members = self.members.len();
        let turn = usize::try_from(number).unwrap_or_default().wrapping_add(self.first_turn);
        &self.members[turn % members]
    }

    /// Publishes that there is no connection, and logs why if that is news.
    fn report(&self, member: &str, why: Failure) {
        let trouble = why.of_member(member);
        let is_news = self.state.borrow().trouble.as_ref() != Some(&trouble);
        if is_news && !self.closing.is_cancelled() {
            tracing::warn!(why = trouble.words(), "no connection to etcd");
        }
        self.state.send_replace(State { connection: None, trouble: Some(trouble) });
    }

    async fn connect(
        &self,
        endpoint: &Endpoint,
        number: u64,
    ) -> Result<(Connection, Streaming<WatchResponse>), Failure> {
        let connecting = async {
            let channel = endpoint.connect().await.map_err(|error| Failure::Unknown(causes(&error)))?;
            let mut connection = Connection { number, channel, token: None };
            if let Some(login) = &self.login {
                connection.token = Some(authenticate(&connection, login).await?);
            }
            let create =
                WatchCreateRequest { key: self.pulse_key.clone().into(), ..WatchCreateRequest::default() };
            match connection.watch(create).await {
                Ok((first, _)) if first.canceled => Err(not_let_in(cancelled(&first.cancel_reason))),
                Ok((_, pulse)) => Ok((connection, pulse)),
                Err(status) => Err(not_let_in(verdict(&status))),
            }
        };
        let connected = tokio::time::timeout(CONNECT_MAX, connecting).await;
        connected.unwrap_or_else(|_elapsed| Err(Failure::Unknown("no answer".to_owned())))
    }

    async fn until_broken(&mut self, number: u64, mut pulse: Streaming<WatchResponse>) -> String {
        let ended = async {
            loop {
                match pulse.message().await {
                    Ok(Some(told)) if told.canceled => return told.cancel_reason,
                    // Someone wrote the key. That is no reason to go.
                    Ok(Some(_)) => {}
                    Ok(None) => return "it was closed".to_owned(),
                    Err(status) => return status.message().to_owned(),
                }
            }
        };
        tokio::select! {
            why = ended => why,
            // Its sender lives as long as the store; without it nobody calls.
            _ = self.failed.wait_for(|failed| *failed >= number) => "a call failed".to_owned(),
            () = self.closing.cancelled() => "the store is closed".to_owned(),
        }
    }
}

async fn authenticate(connection: &Connection, login: &Login) -> Result<MetadataValue<Ascii>, Failure> {
    let request =
        AuthenticateRequest { name: login.user.clone(), password: login.password.reveal().to_owned() };
    let answer: Result<AuthenticateResponse, Status> = connection.unary(method::AUTHENTICATE, request).await;
    let answer =
        answer.map_err(|status| not_let_in(verdict(&status)).of_member(&format!("user {}", login.user)));
    let token: Result<MetadataValue<Ascii>, _> = answer?.token.parse();
    let unsendable = |_| Failure::Unknown("etcd gave a token that cannot be sent".to_owned());
    let mut token = token.map_err(unsendable)?;
    token.set_sensitive(true);
    Ok(token)
}

/// Why a member gives no connection. Only its own refusal is one: what else it says may pass.
fn not_let_in(verdict: Verdict) -> Failure {
    match verdict {
        Verdict::Refused(why) => Failure::Refused(why),
        Verdict::NotYet(why) | Verdict::Unknown(why) => Failure::Unknown(why),
        Verdict::NewToken => Failure::Unknown("the token is over".to_owned()),
        Verdict::NoSpace => Failure::Unknown("etcd is out of space".to_owned()),
        Verdict::Compacted | Verdict::TooLong => Failure::Unknown("etcd gave a strange answer".to_owned()),
    }
}

fn endpoint(member: &str, tls: Option<ClientTlsConfig>) -> Result<Endpoint, tonic::transport::Error> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{member}"))?
        .connect_timeout(CONNECT_MAX)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_ANSWER_MAX)
        .keep_alive_while_idle(true);
    match tls {
        Some(tls) => endpoint.tls_config(tls),
        None => Ok(endpoint),
    }
}

/// An error with what is below it, which is where it says what happened.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
