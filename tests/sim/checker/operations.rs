//! Calls and their returns, put together.

use super::history::{Answer, Call, ClientId, Event, History, Outcome, RequestNumber, Time, What};
use super::{Anomaly, Found, Moment};
use std::collections::BTreeMap;

/// One operation.
#[derive(Clone, Copy, Debug)]
pub struct Operation<'a> {
    pub client: ClientId,
    pub called: Moment,
    pub called_at: Time,
    pub call: &'a Call,
    /// None: nobody knows what became of it.
    pub end: Option<End<'a>>,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    pub moment: Moment,
    pub at: Time,
    pub broker: Option<i32>,
    pub outcome: &'a Outcome,
}

impl<'a> Operation<'a> {
    /// What it was told, without an error, and when.
    pub fn answer(&self) -> Option<(&'a Answer, End<'a>)> {
        match self.end {
            Some(end) => match end.outcome {
                Outcome::Ok(answer) => Some((answer, end)),
                Outcome::Refused(_) | Outcome::Unknown => None,
            },
            None => None,
        }
    }

    /// It was not done and never will be.
    pub fn is_refused(&self) -> bool {
        matches!(self.end, Some(End { outcome: Outcome::Refused(_), .. }))
    }

    /// The moment when its client was told that it is done.
    pub fn done(&self) -> Option<Moment> {
        self.answer().map(|(_, end)| end.moment)
    }

    /// The last event of it that there is.
    pub fn last(&self) -> Moment {
        self.end.map_or(self.called, |end| end.moment)
    }
}

/// All operations in the order of their calls.
pub fn pair<'a>(history: &'a History, found: &mut Found) -> Vec<Operation<'a>> {
    let mut operations: Vec<Operation<'a>> = Vec::new();
    let mut by_request: BTreeMap<RequestNumber, usize> = BTreeMap::new();
    let mut newest = 0;
    for (moment, event) in history.events.iter().enumerate() {
        if event.at < newest {
            found.add(Anomaly::Malformed, [moment], "time goes back");
        }
        newest = newest.max(event.at);
        match &event.what {
            What::Call { request, call } => {
                let operation =
                    Operation { client: event.client, called: moment, called_at: event.at, call, end: None };
                if let Some(first) = by_request.insert(*request, operations.len()) {
                    let first = operations[first].called;
                    found.add(Anomaly::Malformed, [first, moment], "a request number is given twice");
                }
                operations.push(operation);
            }
            What::Return { request, outcome } => {
                let operation = by_request.get(request).map(|&index| &mut operations[index]);
                end(event, moment, outcome, operation, found);
            }
            What::Fact(_) => {}
        }
    }
    operations
}

fn end<'a>(
    event: &Event,
    moment: Moment,
    outcome: &'a Outcome,
    operation: Option<&mut Operation<'a>>,
    found: &mut Found,
) {
    let Some(operation) = operation else {
        return found.add(Anomaly::Malformed, [moment], "a return without a call");
    };
    if operation.client != event.client {
        found.add(Anomaly::Malformed, [operation.called, moment], "another client was called");
    }
    if let Outcome::Ok(answer) = outcome
        && !answers(operation.call, answer)
    {
        found.add(Anomaly::Malformed, [operation.called, moment], "no answer to this call");
    }
    if let Some(first) = operation.end {
        return found.add(Anomaly::Malformed, [first.moment, moment], "two returns of one call");
    }
    operation.end = Some(End { moment, at: event.at, broker: event.broker, outcome });
}

/// Whether such a call is answered in this way.
fn answers(call: &Call, answer: &Answer) -> bool {
    match call {
        Call::InitProducer { .. } => matches!(answer, Answer::Producer(_)),
        Call::Send(_) => matches!(answer, Answer::Sent { .. }),
        Call::Fetch(_) => matches!(answer, Answer::Fetched(_)),
        Call::ListOffsets { .. } => matches!(answer, Answer::Offset(_)),
        Call::DeleteRecords { .. } => matches!(answer, Answer::Start(_)),
        Call::OffsetFetch { .. } => matches!(answer, Answer::Committed(_)),
        Call::Join { .. } | Call::Heartbeat { .. } => matches!(answer, Answer::Assigned { .. }),
        Call::CreateTopic { .. } | Call::DescribeTopic { .. } => matches!(answer, Answer::Topic { .. }),
        Call::AddPartition { .. }
        | Call::EndTransaction { .. }
        | Call::Commit(_)
        | Call::Leave { .. }
        | Call::DeleteTopic { .. }
        | Call::CreatePartitions { .. }
        | Call::AlterTopic { .. }
        | Call::Other(_) => matches!(answer, Answer::Done),
    }
}
