//! What must hold in every state.

use super::World;
use super::state::*;

impl World {
    pub fn broken_promise(&self, state: &State) -> Option<&'static str> {
        let of_clients = || self.sources().find_map(|source| broken_to_client(state, source));
        let to_clients = if self.promises_to_clients { of_clients() } else { None };
        to_clients
            .or_else(|| broken_by_ordinal(state))
            .or_else(|| state.places.iter().find_map(broken_in_log))
            .or_else(|| broken_by_completion(state))
            .or_else(|| broken_epochs(state))
    }

    pub fn sources(&self) -> impl Iterator<Item = Source> + '_ {
        let of = |instance| {
            (0..self.transactions[instance as usize]).map(move |number| Source { instance, number })
        };
        (0..INSTANCES as InstanceId).flat_map(of)
    }
}

/// All or nothing, as the client was told, and only what it asked for.
fn broken_to_client(state: &State, source: Source) -> Option<&'static str> {
    let verdicts = || state.places.iter().flat_map(Place::decided).filter(|batch| batch.1 == source);
    let is_visible = verdicts().any(|batch| batch.3 == Some(Verdict::Commit));
    let is_aborted = verdicts().any(|batch| batch.3 == Some(Verdict::Abort));
    let client = state.transaction(source);
    if is_visible && is_aborted {
        Some("a part of a transaction is visible, another is aborted")
    } else if is_visible && !client.commit_sent {
        Some("a transaction is visible whose client has not asked for it")
    } else if is_aborted && client.outcome == Some(Verdict::Commit) {
        Some("a transaction was answered as committed and a part of it is aborted")
    } else if is_visible && client.outcome == Some(Verdict::Abort) {
        Some("a transaction was answered as aborted and a part of it is visible")
    } else {
        None
    }
}

/// The same by the coordinator's count: what holds for version 1 too, whatever its clients send late.
fn broken_by_ordinal(state: &State) -> Option<&'static str> {
    let batches = state.places.iter().flat_map(Place::decided);
    let mut decided =
        batches.filter_map(|(_, _, ordinal, verdict)| verdict.map(|verdict| (ordinal, verdict)));
    let strays = |(ordinal, verdict): (Ordinal, Verdict)| {
        state.verdicts.get(ordinal as usize).copied().flatten() != Some(verdict)
    };
    decided.any(strays).then_some("a batch was given another verdict than its transaction's")
}

fn broken_in_log(place: &Place) -> Option<&'static str> {
    let stable = place.last_stable_offset() as usize;
    let mut open = place.decided().filter(|batch| batch.3.is_none());
    open.any(|batch| batch.0 < stable).then_some("the last stable offset passed an open transaction")
}

fn broken_by_completion(state: &State) -> Option<&'static str> {
    let Stored { stage: Stage::Complete(_), ordinal, places, .. } = state.stored else { return None };
    let has_marker = |place: &Place| {
        place.log.iter().any(|row| matches!(row, Row::Marker(marker) if marker.ordinal == ordinal))
    };
    let missing = |place: &usize| places & 1 << place > 0 && !has_marker(&state.places[*place]);
    (0..PLACES).any(|place| missing(&place)).then_some("complete, and a place has no marker")
}

fn broken_epochs(state: &State) -> Option<&'static str> {
    let of_transaction = |of: &ClientTransaction| [of.producer_epoch, of.next_epoch];
    let epochs = |client: &Client| client.transactions.each_ref().map(of_transaction);
    let [first, second] = state.clients.each_ref().map(epochs);
    let (first, second) = (first.as_flattened(), second.as_flattened());
    if first.iter().any(|epoch| *epoch > 0 && second.contains(epoch)) {
        return Some("two instances of a producer have one epoch");
    }
    let ahead = first.iter().chain(second).any(|&epoch| epoch > state.stored.producer_epoch);
    ahead.then_some("a client has an epoch that is not stored")
}
