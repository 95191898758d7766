//! The keeper of one lease: it renews it at a third of its time, and says that it is lost before etcd can think so.
//!
//! etcd counts from when it got a renewal, or later; we count from when we sent the last one that was answered. An eighth
//! of the time is kept back for clocks that run at different speeds.

use super::api::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveResponse, LeaseRequest, Nothing, method,
};
use super::call::{ATTEMPT_MAX, Client, Repeat};
use crate::meta::lease::{Lease, LeaseKeeper, LeaseState, Revocation};
use crate::meta::{LeaseId, MetadataError};
use futures_util::stream;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tonic::{Status, Streaming};

/// Longer is not believed.
const TERM_MAX: Duration = Duration::from_secs(24 * 3_600);
/// After a renewal that failed.
const RENEW_PAUSE: Duration = Duration::from_millis(100);

/// Takes a lease, and starts its keeper. etcd counts in seconds, and never less than about two.
pub(super) async fn grant(client: &Arc<Client>, ttl: Duration) -> Result<Lease, MetadataError> {
    let sent = Instant::now();
    let seconds = i64::try_from(ttl.as_millis().div_ceil(1_000)).unwrap_or(i64::MAX).max(1);
    let request = LeaseGrantRequest { ttl: seconds };
    // One that was granted unknown to us ends by itself.
    let granted: LeaseGrantResponse = client.call(method::LEASE_GRANT, request, Repeat::Freely).await?;
    let term = Term::new(granted.ttl, sent);
    let (lease, half) = Lease::new(LeaseId(granted.id), Some(term.valid_until));
    tokio::spawn(Keeper { client: Arc::clone(client), id: granted.id, term, half, given_up: 0 }.run());
    Ok(lease)
}

/// How long a lease holds, as far as we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Term {
    valid_until: Instant,
    renew_at: Instant,
}

impl Term {
    fn new(ttl_seconds: i64, sent: Instant) -> Term {
        let ttl = Duration::from_secs(u64::try_from(ttl_seconds).unwrap_or_default()).min(TERM_MAX);
        Term { valid_until: sent + ttl - ttl / 8, renew_at: sent + ttl / 3 }
    }
}

struct Keeper {
    client: Arc<Client>,
    id: i64,
    term: Term,
    half: LeaseKeeper,
    /// The last connection on which a renewal failed.
    given_up: u64,
}

/// What became of a renewal.
enum Renewal {
    Renewed(Term),
    /// etcd has no such lease any more.
    Gone,
    Failed(String),
}

impl Keeper {
    async fn run(mut self) {
        loop {
            // Renewals wait for their time, or for the end of the lease.
            match tokio::time::timeout_at(self.term.renew_at, self.half.revocations.recv()).await {
                Ok(Some(answer)) => return self.revoke(answer).await,
                Ok(None) => return,
                Err(_elapsed) => {}
            }
            if self.client.closing.is_cancelled() {
                return;
            }
            match self.renew().await {
                Renewal::Renewed(term) => {
                    self.term = term;
                    self.half.state.send_replace(LeaseState::ValidUntil(Some(term.valid_until)));
                }
                Renewal::Gone => return self.lose("etcd has ended it"),
                Renewal::Failed(why) if Instant::now() >= self.term.valid_until => return self.lose(&why),
                Renewal::Failed(why) => {
                    tracing::debug!(lease = self.id, why, "a lease was not renewed yet");
                    self.term.renew_at = self.term.valid_until.min(Instant::now() + RENEW_PAUSE);
                }
            }
        }
    }

    async fn renew(&mut self) -> Renewal {
        let connection = match self.client.connection(self.given_up, self.term.valid_until).await {
            Ok(connection) => connection,
            Err(why) => return Renewal::Failed(why),
        };
        let sent = Instant::now();
        let renewing = async {
            let requests = stream::iter([LeaseRequest { id: self.id }]);
            let mut answers: Streaming<LeaseKeepAliveResponse> =
                connection.stream(method::LEASE_KEEP_ALIVE, requests).await?;
            answers.message().await
        };
        let limit = self.term.valid_until.min(sent + ATTEMPT_MAX);
        let answer: Result<Result<_, Status>, _> = tokio::time::timeout_at(limit, renewing).await;
        let why = match answer {
            Ok(Ok(Some(answer))) if answer.ttl <= 0 => return Renewal::Gone,
            Ok(Ok(Some(answer))) => return Renewal::Renewed(Term::new(answer.ttl, sent)),
            Ok(Ok(None)) => "no answer".to_owned(),
            Ok(Err(status)) => status.message().to_owned(),
            Err(_elapsed) => "no answer in time".to_owned(),
        };
        self.given_up = connection.number;
        self.client.give_up(connection.number);
        Renewal::Failed(why)
    }

    fn lose(&self, why: &str) {
        tracing::warn!(lease = self.id, why, "a lease is lost");
        self.half.state.send_replace(LeaseState::Lost);
    }

    async fn revoke(self, answer: Revocation) {
        self.half.state.send_replace(LeaseState::Lost);
        let request = LeaseRequest { id: self.id };
        let revoked: Result<Nothing, _> =
            self.client.call(method::LEASE_REVOKE, request, Repeat::Freely).await;
        // Whoever asked may be gone.
        let _gone = answer.send(match revoked {
            Ok(Nothing {}) => Ok(()),
            Err(failure) => Err(failure.into()),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_lost_to_us_before_it_is_to_etcd() {
        let sent = Instant::now();
        let term = Term::new(8, sent);
        assert_eq!(term.valid_until - sent, Duration::from_secs(7));
        assert!(term.renew_at < term.valid_until);
    }
}
