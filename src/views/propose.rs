//! Proposes views: one attempt each, by whoever sees a reason. What came of it is seen as any other view is.

use crate::cluster::{Change, NoNextView};
use crate::journal::{Base, Proposed, SessionError};
use crate::meta::{MetadataStore, Standing};
use crate::store::ObjectStore;
use crate::types::SessionId;
use std::sync::Arc;

/// What proposals are made with.
#[derive(Clone, Debug)]
pub(super) struct Proposer {
    pub metadata: Arc<dyn MetadataStore>,
    pub store: ObjectStore,
    pub standing: Standing,
}

/// What came of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The view is made; these were sealed with it.
    Made(Vec<SessionId>),
    /// Others came first: look again.
    Changed,
    /// There is nothing to propose, or not now.
    NotNow(NoNextView),
}

impl Proposer {
    /// Proposes the view after `changes`. What it is based on is read anew, so a change that has become idle comes to
    /// nothing. An error: it may have been made.
    pub async fn propose(&self, changes: &[Change]) -> Result<Outcome, SessionError> {
        let metadata = self.metadata.as_ref();
        let base = Base::read(metadata).await?;
        let proposal = match base.propose(metadata, &self.store, changes, Some(&self.standing)).await? {
            Ok(proposal) => proposal,
            Err(none) => return Ok(Outcome::NotNow(none)),
        };
        let (number, seals) = (proposal.view.number, proposal.seals.clone());
        match proposal.make(metadata).await? {
            Proposed::Made(_) => {
                tracing::info!(view = number.0, sealed = ?seals, "this broker has made a view");
                Ok(Outcome::Made(seals))
            }
            Proposed::Changed => Ok(Outcome::Changed),
        }
    }
}
