//! FindCoordinator, versions 0 to 6: which broker answers for a group or a transactional id.

use super::ConnectionInfo;
use super::brokers::{Brokers, ToldBroker};
use super::context::Context;
use crate::cluster::PlacementKey;
use crate::wire::messages::find_coordinator_response::Coordinator;
use crate::wire::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use crate::wire::{ErrorCode, StrBytes};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;
/// From here on a request names several keys.
const MANY_KEYS_VERSION: i16 = 4;

/// Answers the request, key by key.
pub fn handle(
    context: &Context,
    request: &FindCoordinatorRequest,
    api_version: i16,
    connection: &ConnectionInfo,
) -> FindCoordinatorResponse {
    let brokers = Brokers::of(context, connection);
    let key_type = request.key_type;
    if api_version < MANY_KEYS_VERSION {
        let response = FindCoordinatorResponse::default();
        return match find(&brokers, key_type, &request.key) {
            Ok(told) => {
                response.with_node_id(BrokerId(told.id.0)).with_host(told.host.clone()).with_port(told.port)
            }
            Err((code, message)) => {
                let message = (api_version >= 1).then(|| StrBytes::from_static_str(message));
                response
                    .with_error_code(code.code())
                    .with_error_message(message)
                    .with_node_id(NOBODY)
                    .with_port(-1)
            }
        };
    }
    let coordinators = request.coordinator_keys.iter().map(|key| {
        let coordinator = Coordinator::default().with_key(key.clone());
        match find(&brokers, key_type, key) {
            Ok(told) => coordinator
                .with_node_id(BrokerId(told.id.0))
                .with_host(told.host.clone())
                .with_port(told.port),
            Err((code, message)) => coordinator
                .with_error_code(code.code())
                .with_error_message(Some(StrBytes::from_static_str(message)))
                .with_node_id(NOBODY)
                .with_port(-1),
        }
    });
    FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
}

const NOBODY: BrokerId = BrokerId(-1);

type Refused = (ErrorCode, &'static str);

fn find<'a>(brokers: &'a Brokers, key_type: i8, key: &str) -> Result<&'a ToldBroker, Refused> {
    let nobody = (ErrorCode::CoordinatorNotAvailable, "no broker leads anything now");
    brokers.coordinator(placement(key_type, key)?).ok_or(nobody)
}

/// What the leader of which coordinates `key`.
fn placement(key_type: i8, key: &str) -> Result<PlacementKey, Refused> {
    match key_type {
        GROUP => Ok(PlacementKey::group(key)),
        TRANSACTION => Ok(PlacementKey::transactional_id(key)),
        SHARE => match key.rsplitn(SHARE_KEY_PARTS, ':').nth(SHARE_KEY_PARTS - 1) {
            // State of a share group is with the group.
            Some(group_id) => Ok(PlacementKey::group(group_id)),
            None => Err((ErrorCode::InvalidRequest, "a share key is group:topic id:partition")),
        },
        _ => Err((
            ErrorCode::InvalidRequest,
            "the key type is 0 for a group, 1 for a transaction, 2 for share state",
        )),
    }
}

/// `group:topic id:partition`; the group may have colons in its name.
const SHARE_KEY_PARTS: usize = 3;
