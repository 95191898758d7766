//! Proposes the next view, where there is a reason for one.

use super::{PROPOSAL_PAUSE, Task};
use crate::cluster::Change;
use crate::journal::SessionError;
use crate::views::known::drained;
use crate::views::propose::Outcome;
use tokio::task::JoinError;
use tokio::time::Instant;

impl Task {
    /// Proposes what there is a reason for.
    pub(super) fn suspect(&mut self) {
        let now = Instant::now();
        if self.proposing.is_some() || self.propose_from > now || self.wants_listing {
            return;
        }
        let decision = self.watching.suspicion.decide(self.watching.now());
        let mut changes: Vec<Change> =
            decision.seal.iter().map(|sealing| Change::Seal(sealing.session)).collect();
        for sealing in &decision.seal {
            let (session, broker, why) = (sealing.session, sealing.broker_id.0, sealing.why);
            tracing::warn!(%session, broker, ?why, "this broker is to be sealed");
        }
        if decision.check {
            changes.push(Change::Check);
        }
        changes.extend(self.own_change());
        if changes.is_empty() {
            return;
        }
        let proposer = self.proposer.clone();
        self.proposing = Some(tokio::spawn(async move { proposer.propose(&changes).await }));
    }

    /// Whether this session wants to be a member, and is not; or is, and does not want to be.
    fn own_change(&self) -> Option<Change> {
        let member = &self.start.member;
        let is_member = self.view.members.iter().any(|other| other.session == member.session);
        let shall_lead = !self.leaves && !drained(&self.drained).contains(&member.broker_id);
        match (is_member, shall_lead) {
            (false, true) => Some(Change::Join(member.clone())),
            // Somebody has to lead.
            (true, false) if self.view.members.len() > 1 => Some(Change::Leave(member.session)),
            _ => None,
        }
    }

    pub(super) fn on_proposed(&mut self, proposed: Result<Result<Outcome, SessionError>, JoinError>) {
        self.proposing = None;
        self.propose_from = Instant::now() + PROPOSAL_PAUSE;
        match proposed {
            Ok(Ok(Outcome::Made(sealed))) => {
                let now = self.watching.now();
                sealed.iter().for_each(|session| self.watching.suspicion.on_sealed(*session, now));
            }
            Ok(Ok(outcome)) => tracing::debug!(?outcome, "no view was made"),
            Ok(Err(error)) => tracing::warn!(%error, "whether a view was made is not known"),
            Err(error) => tracing::error!(%error, "a proposal failed"),
        }
    }
}
