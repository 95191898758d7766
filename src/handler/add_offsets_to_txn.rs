//! AddOffsetsToTxn, versions 0 to 4: a client adds the offsets of a group to its transaction.

use super::context::Context;
use super::txn_error::{Fenced, code, producer};
use crate::txn::{AddPlaces, Place, TransactionVersion};
use crate::wire::ErrorCode;
use crate::wire::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

/// Answers the request.
pub async fn handle(
    context: &Context,
    request: AddOffsetsToTxnRequest,
    api_version: i16,
) -> AddOffsetsToTxnResponse {
    let outcome = add(context, &request, api_version).await;
    AddOffsetsToTxnResponse::default().with_error_code(outcome.err().map_or(0, |code| code.code()))
}

async fn add(context: &Context, request: &AddOffsetsToTxnRequest, api_version: i16) -> Result<(), ErrorCode> {
    let group =
        super::group_error::group(&request.group_id).map_err(|error| super::group_error::code(&error))?;
    let add = AddPlaces {
        producer: producer(request.producer_id, request.producer_epoch),
        places: vec![Place::Group(group.as_str().into())],
        transaction_version: TransactionVersion::One,
    };
    let fenced = Fenced::since(2, api_version);
    let added = context.transactions.call(&request.transactional_id, add).await;
    added.map(|_| ()).map_err(|error| code(error, fenced))
}
