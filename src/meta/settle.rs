//! Changes of a session that are carried on until it is known what became of them.
//!
//! Reading a key after a lost answer proves nothing: what was sent may still land. So the session first rewrites its
//! own standing, which every change compares; what it reads then is final.
//!
//! Its own change is known by what it wrote. So where two sessions may write one key, the value must say whose write it
//! is, as topic ids, the names of manifests and the members of a view do; where the values are equal all the same, so is
//! what both wanted.

use super::{Compare, Entry, MetadataError, Revision, Standing, Term, Transaction, Write};

/// What a session wants to write. Its standing is compared as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Conditions.
    pub compares: Vec<Compare>,
    /// Effects, at least one. They tell whether the change was made, so their keys are compared too.
    pub writes: Vec<Write>,
    /// Keys to read if a compare does not hold.
    pub reads: Vec<String>,
    /// What of the session's right it is made under, besides the standing: nothing is sent once one of them is closed.
    pub terms: Vec<Term>,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It was made; the keys it wrote now have this revision.
    Applied(Revision),
    /// A compare of its own did not hold, and nothing was written; what was read.
    Refused(Vec<Option<Entry>>),
}

/// Why it is not known what became of a change, or why it cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
    /// The session was sealed: nothing of the change will ever be made.
    #[error("this session no longer stands")]
    Sealed,
    /// A term of the change was closed: nothing of it was made, nor will be.
    #[error("this broker no longer leads what is written")]
    Closed,
    /// No answer in time. The change may have been made, or may be yet, until the standing is rewritten.
    #[error("the metadata store does not answer: {0}")]
    Unavailable(String),
}

/// How often a change is sent before it is given up as unknown.
const ATTEMPTS_MAX: usize = 4;

impl Standing {
    /// Makes `change` if its compares hold and the session stands.
    pub async fn settle(&self, change: &Change) -> Result<Settled, SettleError> {
        for _ in 0..ATTEMPTS_MAX {
            // In this order: see `Term`.
            let compared = self.compare();
            if !change.terms.iter().all(Term::is_open) {
                return Err(SettleError::Closed);
            }
            match self.store().transact(self.transaction(change, compared.clone())).await {
                Ok(answer) if answer.applied => return Ok(Settled::Applied(answer.revision)),
                Ok(answer) => {
                    let mut reads = answer.reads.into_iter();
                    let own = reads.next().flatten();
                    self.judge(own.as_ref()).map_err(|_| SettleError::Sealed)?;
                    match moved(own.as_ref(), &compared) {
                        // The compare that failed may have been that of the standing alone.
                        Some(revision) => self.on_rewritten(revision),
                        None => return Ok(Settled::Refused(reads.collect())),
                    }
                }
                Err(MetadataError::Unknown(cause)) => {
                    tracing::warn!(cause, key = change.writes[0].key(), "a change has no answer yet");
                    let revision = self.rewrite().await?;
                    let reads = change.writes.iter().map(|write| write.key().to_owned()).collect();
                    let evidence = Transaction { reads, ..Transaction::default() };
                    let evidence = self.store().transact(evidence).await?.reads;
                    if let Some(written) = change.done_at(&evidence) {
                        return Ok(Settled::Applied(written.unwrap_or(revision)));
                    }
                }
                Err(error @ MetadataError::Refused(_)) => return Err(error.into()),
            }
        }
        Err(SettleError::Unavailable("no answer after several attempts".to_owned()))
    }

    fn transaction(&self, change: &Change, standing: Compare) -> Transaction {
        let own = [self.key().to_owned()];
        Transaction {
            compares: change.compares.iter().cloned().chain([standing]).collect(),
            writes: change.writes.clone(),
            reads: own.into_iter().chain(change.reads.iter().cloned()).collect(),
            ..Transaction::default()
        }
    }

    /// Writes the session's standing again as it is: nothing that was sent before can land after.
    async fn rewrite(&self) -> Result<Revision, SettleError> {
        for _ in 0..ATTEMPTS_MAX {
            let entry = self.store().get(self.key()).await?;
            self.judge(entry.as_ref()).map_err(|_| SettleError::Sealed)?;
            let Some(entry) = entry else { return Err(SettleError::Sealed) };
            let rewrite = Transaction {
                compares: vec![Compare::Unchanged(entry.key.clone(), entry.mod_revision)],
                writes: vec![Write::Put(entry.key, entry.value)],
                ..Transaction::default()
            };
            match self.store().transact(rewrite).await {
                Ok(answer) if answer.applied => {
                    self.on_rewritten(answer.revision);
                    return Ok(answer.revision);
                }
                Ok(_) | Err(MetadataError::Unknown(_)) => {}
                Err(error @ MetadataError::Refused(_)) => return Err(error.into()),
            }
        }
        Err(SettleError::Unavailable("no answer about this session's standing".to_owned()))
    }
}

impl Change {
    /// The revision that made the change, if `evidence`, read at one revision after the standing was rewritten, shows that
    /// it was made: all its keys are as it makes them, by one write, which is not one that it compared. A change that
    /// deletes and does not put leaves no revision.
    fn done_at(&self, evidence: &[Option<Entry>]) -> Option<Option<Revision>> {
        let mut written = None;
        for (write, entry) in self.writes.iter().zip(evidence) {
            match (write, entry) {
                (Write::Put(key, value) | Write::PutLeased(key, value, _), Some(entry)) => {
                    let before = Compare::Unchanged(key.clone(), entry.mod_revision);
                    let is_ours = entry.value == *value && !self.compares.contains(&before);
                    if !is_ours || written.is_some_and(|written| written != entry.mod_revision) {
                        return None;
                    }
                    written = Some(entry.mod_revision);
                }
                (Write::Delete(_), None) => {}
                _ => return None,
            }
        }
        Some(written)
    }
}

/// The newer revision of the standing, if the session itself has rewritten it since it was compared.
fn moved(own: Option<&Entry>, compared: &Compare) -> Option<Revision> {
    let Compare::Unchanged(_, compared) = compared else { return None };
    own.map(|own| own.mod_revision).filter(|revision| revision != compared)
}

impl From<MetadataError> for SettleError {
    fn from(error: MetadataError) -> SettleError {
        SettleError::Unavailable(error.to_string())
    }
}

#[cfg(test)]
mod tests;
