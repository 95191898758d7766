//! One call: it waits for a connection, is sent, and ends within its time limit whatever etcd does.
//!
//! A read is repeated as long as there is time. What writes is sent again only if it is certain that it was not done; an
//! answer that does not come makes it unknown, once and for all.

use super::connection::{Connection, State};
use super::verdict::{Verdict, verdict};
use crate::meta::MetadataError;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Of a whole call, waiting for a connection included.
pub(super) const CALL_MAX: Duration = Duration::from_secs(4);
/// Of one attempt. A member that does not answer for as long is left for another one.
pub(super) const ATTEMPT_MAX: Duration = Duration::from_secs(2);
/// Times that a call is sent.
const ATTEMPTS_MAX: usize = 16;

const NO_SPACE: &str = "etcd is out of space: it takes no writes until its history is compacted, it is defragmented, \
                        and its NOSPACE alarm is disarmed; or give it a larger quota";

/// Whether a call may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It changes nothing.
    Freely,
    /// It writes.
    IfNotDone,
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Refused(String),
    Compacted,
    TooLong,
    Unknown(String),
}

impl Failure {
    /// The same, and who says so.
    pub(super) fn of_member(self, who: &str) -> Failure {
        match self {
            Failure::Refused(why) => Failure::Refused(format!("{who}: {why}")),
            Failure::Unknown(why) => Failure::Unknown(format!("{who}: {why}")),
            other => other,
        }
    }

    /// In words.
    pub(super) fn words(&self) -> &str {
        match self {
            Failure::Refused(why) | Failure::Unknown(why) => why,
            Failure::Compacted => "etcd no longer has this revision",
            Failure::TooLong => "etcd's answer is too long",
        }
    }
}

/// What all parts of the store share.
#[derive(Debug)]
pub(super) struct Client {
    pub prefix: String,
    pub closing: CancellationToken,
    state: watch::Receiver<State>,
    failed: watch::Sender<u64>,
    out_of_space: watch::Sender<bool>,
}

impl Client {
    pub(super) fn new(
        prefix: String,
        closing: CancellationToken,
        state: watch::Receiver<State>,
        failed: watch::Sender<u64>,
    ) -> Client {
        Client { prefix, closing, state, failed, out_of_space: watch::Sender::new(false) }
    }

    /// One request, one answer, within [`CALL_MAX`].
    pub(super) async fn call<Q, A>(
        &self,
        method: &'static str,
        request: Q,
        repeat: Repeat,
    ) -> Result<A, Failure>
    where
        Q: prost::Message + Clone + 'static,
        A: prost::Message + Default + 'static,
    {
        let deadline = Instant::now() + CALL_MAX;
        let mut given_up = 0;
        let mut last = String::new();
        for _ in 0..ATTEMPTS_MAX {
            let connection = match self.connection(given_up, deadline).await {
                Ok(connection) => connection,
                Err(why) => return Err(Failure::Unknown(if last.is_empty() { why } else { last })),
            };
            let limit = deadline.min(Instant::now() + ATTEMPT_MAX);
            let answer = tokio::time::timeout_at(limit, connection.unary(method, request.clone())).await;
            let why = match answer {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(status)) => verdict(&status),
                Err(_elapsed) => Verdict::Unknown("no answer in time".to_owned()),
            };
            last = match why {
                Verdict::Refused(why) => return Err(Failure::Refused(why)),
                Verdict::NoSpace => {
                    self.on_space(Space::None);
                    return Err(Failure::Refused(NO_SPACE.to_owned()));
                }
                Verdict::Compacted => return Err(Failure::Compacted),
                Verdict::TooLong => return Err(Failure::TooLong),
                Verdict::NotYet(why) => why,
                Verdict::NewToken => "the token is over".to_owned(),
                Verdict::Unknown(why) => {
                    if repeat == Repeat::IfNotDone {
                        self.give_up(connection.number);
                        return Err(Failure::Unknown(why));
                    }
                    why
                }
            };
            given_up = connection.number;
            self.give_up(given_up);
        }
        Err(Failure::Unknown(last))
    }

    /// A connection after the one of that number.
    pub(super) async fn connection(&self, after: u64, deadline: Instant) -> Result<Connection, String> {
        let mut state = self.state.clone();
        let is_new = |state: &State| state.connection.as_ref().is_some_and(|new| new.number > after);
        match tokio::time::timeout_at(deadline, state.wait_for(is_new)).await {
            Ok(Ok(state)) => Ok(state.connection.clone().expect("it was waited for")),
            Ok(Err(_)) => Err("the store is closed".to_owned()),
            Err(_elapsed) => Err(self.trouble()),
        }
    }

    /// The first connection of all, or why there is none. Who is refused is told at once: unlike an etcd that does not
    /// answer, a wrong password does not mend itself.
    pub(super) async fn first_connection(&self, deadline: Instant) -> Result<(), Failure> {
        let mut state = self.state.clone();
        let is_clear =
            |state: &State| state.connection.is_some() || matches!(state.trouble, Some(Failure::Refused(_)));
        match tokio::time::timeout_at(deadline, state.wait_for(is_clear)).await {
            Ok(Ok(state)) if state.connection.is_some() => Ok(()),
            Ok(Ok(state)) => Err(state.trouble.clone().expect("it is one of the two")),
            Ok(Err(_)) => Err(Failure::Unknown("the store is closed".to_owned())),
            Err(_elapsed) => Err(Failure::Unknown(self.trouble())),
        }
    }

    /// Says that a connection is of no use. What others do on it goes on.
    pub(super) fn give_up(&self, number: u64) {
        self.failed.send_if_modified(|failed| {
            let is_news = number > *failed;
            *failed = number.max(*failed);
            is_news
        });
    }

    /// Waits for that long, or until the store is closed.
    pub(super) async fn pause(&self, length: Duration) {
        let _elapsed = tokio::time::timeout(length, self.closing.cancelled()).await;
    }

    /// Tells, once, that there is no space, and when there is again.
    pub(super) fn on_space(&self, space: Space) {
        let none = space == Space::None;
        let is_news = self.out_of_space.send_if_modified(|before| std::mem::replace(before, none) != none);
        match is_news {
            true if none => tracing::error!("{NO_SPACE}"),
            true => tracing::info!("etcd takes writes again"),
            false => {}
        }
    }

    /// Whether etcd takes no writes.
    pub(super) fn is_out_of_space(&self) -> bool {
        *self.out_of_space.borrow()
    }

    /// Waits until etcd takes no writes.
    pub(super) async fn out_of_space(&self) {
        let mut told = self.out_of_space.subscribe();
        // The sender lives in `self`.
        let _open = told.wait_for(|none| *none).await.is_ok();
    }

    fn trouble(&self) -> String {
        let trouble = self.state.borrow().trouble.clone();
        trouble.map_or_else(|| "no connection to etcd".to_owned(), |trouble| trouble.words().to_owned())
    }
}

/// Whether etcd has space for writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    Some,
    None,
}

impl From<Failure> for MetadataError {
    fn from(failure: Failure) -> MetadataError {
        match failure {
            Failure::Refused(_) | Failure::Compacted => MetadataError::Refused(failure.words().to_owned()),
            // Too long may be the answer to a transaction that wrote: it may have been done.
            Failure::TooLong | Failure::Unknown(_) => MetadataError::Unknown(failure.words().to_owned()),
        }
    }
}
