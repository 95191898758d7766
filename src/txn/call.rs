//! What handlers ask of a transactional id's task.

use super::request::{AddPlacesRequest, EndTxnRequest, InitProducerIdRequest, Producer};
use super::{Place, TransactionVersion, TransactionView, TxnError};
use crate::types::{TransactionOrdinal, Verdict};
use tokio::sync::oneshot;

/// Where one answer goes. Dropped without an answer it says that the coordinator is not available.
#[derive(Debug)]
pub struct Reply<T>(oneshot::Sender<Result<T, TxnError>>);

impl<T> Reply<T> {
    pub(super) fn new(sender: oneshot::Sender<Result<T, TxnError>>) -> Reply<T> {
        Reply(sender)
    }

    pub(super) fn send(self, answer: Result<T, TxnError>) {
        // Whoever asked may have gone away.
        let _gone = self.0.send(answer);
    }
}

/// A request in a transactional id's mailbox.
#[derive(Debug)]
pub enum Call {
    /// InitProducerId.
    Init(InitProducerId, Reply<Producer>),
    /// AddPartitionsToTxn, AddOffsetsToTxn, and the first batch of version 2 at a leader.
    Add(AddPlaces, Reply<TransactionOrdinal>),
    /// The first batch of version 1 at a leader.
    Verify(Verify, Reply<TransactionOrdinal>),
    /// EndTxn.
    End(EndTxn, Reply<Producer>),
    /// DescribeTransactions.
    Describe(Reply<TransactionView>),
    /// What an operator ends.
    Abort(Reply<()>),
}

/// An instance of a producer starts, or goes on after an error.
#[derive(Clone, Copy, Debug)]
pub struct InitProducerId {
    /// After how long a transaction of this instance is aborted, in milliseconds.
    pub timeout_ms: i32,
    /// Who it was until now, if it goes on.
    pub expected: Option<Producer>,
}

/// A client or a leader adds places to a transaction.
#[derive(Clone, Debug)]
pub struct AddPlaces {
    /// Whose.
    pub producer: Producer,
    /// Where.
    pub places: Vec<Place>,
    /// What the client speaks.
    pub transaction_version: TransactionVersion,
}

/// A leader asks whether a place was added.
#[derive(Clone, Debug)]
pub struct Verify {
    /// By whom.
    pub producer: Producer,
    /// Where.
    pub place: Place,
}

/// A leader sees the first batch of a transaction at a place that it leads: which of the producer's transactions is it?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstBatch {
    /// Whose.
    pub producer: Producer,
    /// Where.
    pub place: Place,
    /// Of the first protocol: the client has added the place, so it is looked up. Of the second: the batch adds it.
    pub transaction_version: TransactionVersion,
}

/// A client ends its transaction.
#[derive(Clone, Copy, Debug)]
pub struct EndTxn {
    /// Whose.
    pub producer: Producer,
    /// How.
    pub verdict: Verdict,
    /// What the client speaks.
    pub transaction_version: TransactionVersion,
}

/// What is known of the transactional id.
#[derive(Clone, Copy, Debug)]
pub struct Describe;

/// An operator ends what is open.
#[derive(Clone, Copy, Debug)]
pub struct ForceAbort;

/// A request that a transactional id answers.
pub trait CallOf: Sized {
    /// What it answers.
    type Answer;
    /// Puts it into the form of a mailbox.
    fn call(self, reply: Reply<Self::Answer>) -> Call;
}

macro_rules! call_of {
    ($request:ident -> $answer:ty, $self:ident, $reply:ident => $call:expr) => {
        impl CallOf for $request {
            type Answer = $answer;

            fn call($self, $reply: Reply<$answer>) -> Call {
                $call
            }
        }
    };
}

call_of!(InitProducerId -> Producer, self, reply => Call::Init(self, reply));
call_of!(AddPlaces -> TransactionOrdinal, self, reply => Call::Add(self, reply));
call_of!(Verify -> TransactionOrdinal, self, reply => Call::Verify(self, reply));
call_of!(EndTxn -> Producer, self, reply => Call::End(self, reply));
call_of!(Describe -> TransactionView, self, reply => Call::Describe(reply));
call_of!(ForceAbort -> (), self, reply => Call::Abort(reply));

impl InitProducerId {
    pub(super) fn with(self, fresh: Option<crate::types::ProducerId>) -> InitProducerIdRequest {
        InitProducerIdRequest {
            timeout_ms: self.timeout_ms,
            expected: self.expected,
            fresh_producer_id: fresh,
        }
    }
}

impl EndTxn {
    pub(super) fn with(self, fresh: Option<crate::types::ProducerId>) -> EndTxnRequest {
        let EndTxn { producer, verdict, transaction_version } = self;
        EndTxnRequest { producer, verdict, transaction_version, fresh_producer_id: fresh }
    }
}

impl From<AddPlaces> for AddPlacesRequest {
    fn from(add: AddPlaces) -> AddPlacesRequest {
        let AddPlaces { producer, places, transaction_version } = add;
        AddPlacesRequest { producer, places, transaction_version }
    }
}
