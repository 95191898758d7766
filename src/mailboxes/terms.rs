//! Under which term something is served here, for who may wait a little for it.

use crate::cluster::PlacementKey;
use crate::leadership::{Coordination, Leadership};
use crate::meta::Term;
use crate::types::SessionId;
use std::time::Duration;

/// Why there is no term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoTerm {
    /// This session is about to serve it: those have not let go yet that may have done so before.
    Loading,
    /// That one serves it.
    Elsewhere(SessionId),
    /// Nobody does.
    Nobody,
}

/// How long a request waits for what is about to be served here.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The term under which this session serves what `key` names. Waits for at most five seconds if it is about to.
pub async fn term_of(leadership: &Leadership, key: PlacementKey) -> Result<Term, NoTerm> {
    match tokio::time::timeout(WAIT_MAX, leadership.coordinated(key)).await {
        Ok(Coordination::Here(term)) => Ok(term),
        Ok(Coordination::Elsewhere(session)) => Err(NoTerm::Elsewhere(session)),
        Ok(Coordination::Nobody) => Err(NoTerm::Nobody),
        Ok(Coordination::Loading) | Err(_) => Err(NoTerm::Loading),
    }
}
