//! Planted bugs: each is a shortcut that a coder could take, and each must be caught.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// Markers are sent as soon as EndTxn is read, while its verdict is still being stored.
    MarkerBeforeVerdict,
    /// A leader takes a marker for whatever transaction is open with that epoch.
    NoOrdinalCheck,
    /// A marker is refused when its epoch is known and nothing is open.
    RepeatedMarkerRefused,
    /// An EndTxn with the epoch before the bump ends the transaction that is open now.
    LateEndApplied,
    /// Version 2 ends a transaction and keeps the epoch.
    EpochNotBumped,
    /// The client is told the new epoch, the store is not.
    BumpNotStored,
    /// An EndTxn with the epoch before the bump is answered with success, whatever its verdict.
    OtherVerdictAccepted,
    /// The coordinator writes its value without comparing standing and value.
    WriteWithoutCompare,
    /// The coordinator compares the value that it writes over, not its standing.
    StandingNotCompared,
    /// A transaction is complete when the first place has its marker.
    CompleteTooEarly,
    /// A new leader knows what is open, but not the ordinals.
    OrdinalForgotten,
    /// Group offsets are taken from any producer without asking its coordinator.
    FencedOffsetCommit,
    /// A leader opens a transaction without asking the coordinator.
    AddNotVerified,
    /// A leader appends what was verified before the marker came.
    AppendAfterMarker,
    /// A new transaction begins while the markers of the last are on their way.
    BeginWhileEnding,
    /// InitProducerId is answered while the transaction of the last instance is still open.
    InitWithoutEnding,
    /// A new coordinator aborts what it finds, although its verdict is stored.
    VerdictForgotten,
    /// A transaction is aborted for its age, and its producer keeps its epoch.
    TimeoutKeepsEpoch,
    /// A coordinator answers from memory, without asking whether it still stands.
    AnswerUnconfirmed,
    /// InitProducerId leaves the stage and the note of the last bump as they are.
    InitKeepsVerdict,
}

impl Bug {
    pub const ALL: [Bug; 20] = [
        Bug::MarkerBeforeVerdict,
        Bug::NoOrdinalCheck,
        Bug::RepeatedMarkerRefused,
        Bug::LateEndApplied,
        Bug::EpochNotBumped,
        Bug::BumpNotStored,
        Bug::OtherVerdictAccepted,
        Bug::WriteWithoutCompare,
        Bug::StandingNotCompared,
        Bug::CompleteTooEarly,
        Bug::OrdinalForgotten,
        Bug::FencedOffsetCommit,
        Bug::AddNotVerified,
        Bug::AppendAfterMarker,
        Bug::BeginWhileEnding,
        Bug::InitWithoutEnding,
        Bug::VerdictForgotten,
        Bug::TimeoutKeepsEpoch,
        Bug::AnswerUnconfirmed,
        Bug::InitKeepsVerdict,
    ];
}
