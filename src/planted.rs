//! Mistakes on purpose, for the simulation to find: a test that has never failed proves little. No build but that of the
//! simulation has them.

/// A mistake of which there is a place in the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// Producers are answered when their object is stored, before it is committed.
    AcknowledgeBeforeCommit,
    /// A journal commit does not compare the session's standing.
    SkipCompare,
    /// A manifest is stored without the producers at its archived offset.
    ForgetProducers,
    /// The archiver goes past the last stable offset, and takes what is open for committed.
    ArchiveUnstable,
}

#[cfg(feature = "simulation")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Mistake>> = const { std::cell::Cell::new(None) };
}

/// From now on this thread makes that mistake, or none.
#[cfg(feature = "simulation")]
pub fn plant(mistake: Option<Mistake>) {
    PLANTED.set(mistake);
}

/// Whether this mistake is to be made.
#[cfg(feature = "simulation")]
#[must_use]
pub fn is_planted(mistake: Mistake) -> bool {
    PLANTED.get() == Some(mistake)
}

/// Never.
#[cfg(not(feature = "simulation"))]
#[must_use]
pub const fn is_planted(_: Mistake) -> bool {
    false
}
