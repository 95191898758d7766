//! Planted bugs: each is a plausible reading or a shortcut of the design, and each must be caught.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// The producer is answered when its object is stored, not when it is committed.
    AckBeforeCommit,
    /// A new leader serves as soon as it knows the view.
    SkipBarrier,
    /// The journal key is written without comparing: a sealed session commits.
    CommitWithoutCompare,
    /// The new leader reads the tails first and waits for the barrier afterwards.
    TailsBeforeBarrier,
    /// A view is acked while the outcome of a commit is unknown, in a key that commits do not compare.
    AckBeforeResolve,
    /// A view is acked while batches of partitions that the session has lost are still being put.
    AckBeforeDrained,
    /// The barrier takes an ack of a later view for an ack of ours.
    BarrierAcksAtLeast,
    /// "Every session that stands" is read as "every member of the view".
    LiveMeansMember,
    /// A leader answers fetches from memory, without asking whether it still stands.
    FetchUnconfirmed,
    /// Group offsets compare that their writer stands, not the revision of its standing.
    SettledByReading,
    /// A failed PUT is repeated under the same name with more rows in it.
    RecutSameName,
    /// A new leader lists the tails without asking whether it has been sealed meanwhile.
    RecoverWithoutStanding,
    /// Nobody seals a session that died.
    NobodySuspects,
    /// When as many earlier views are carried as may be, the one before is not, settled or not.
    DropUnsettled,
    /// Views are put together by keeping the newest.
    KeepTheNewest,
    /// Of views put together only the leader among all their members is waited for.
    LeaderOfUnion,
    /// A view counts as settled once the members of the newest have acked a later one.
    SettledByMembers,
    /// What a broker's session led before it is taken for not moved when the broker starts again.
    MovedByBroker,
}

impl Bug {
    pub const ALL: [Bug; 18] = [
        Bug::AckBeforeCommit,
        Bug::SkipBarrier,
        Bug::CommitWithoutCompare,
        Bug::TailsBeforeBarrier,
        Bug::AckBeforeResolve,
        Bug::AckBeforeDrained,
        Bug::BarrierAcksAtLeast,
        Bug::LiveMeansMember,
        Bug::FetchUnconfirmed,
        Bug::SettledByReading,
        Bug::RecutSameName,
        Bug::RecoverWithoutStanding,
        Bug::NobodySuspects,
        Bug::DropUnsettled,
        Bug::KeepTheNewest,
        Bug::LeaderOfUnion,
        Bug::SettledByMembers,
        Bug::MovedByBroker,
    ];
}
