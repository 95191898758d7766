//! FindCoordinator, versions 0 to 6: which broker answers for a group or a transactional id. Here it is this one.

use super::ConnectionInfo;
use super::context::Context;
use super::group_error::text;
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
    let (host, port) = context.cluster.address(&connection.listener);
    let node_id = BrokerId(context.cluster.broker_id.0);
    if api_version < MANY_KEYS_VERSION {
        let response = FindCoordinatorResponse::default();
        return match refusal(request.key_type, &request.key) {
            None => response.with_node_id(node_id).with_host(text(host)).with_port(port),
            Some((code, message)) => {
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
        match refusal(request.key_type, key) {
            None => coordinator.with_node_id(node_id).with_host(text(&host)).with_port(port),
            Some((code, message)) => coordinator
                .with_error_code(code.code())
                .with_error_message(Some(StrBytes::from_static_str(message)))
                .with_node_id(NOBODY)
                .with_port(-1),
        }
    });
    FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
}

const NOBODY: BrokerId = BrokerId(-1);

fn refusal(key_type: i8, key: &str) -> Option<(ErrorCode, &'static str)> {
    match key_type {
        GROUP | TRANSACTION => None,
        SHARE => is_no_share_key(key)
            .then_some((ErrorCode::InvalidRequest, "a share key is group:topic id:partition")),
        _ => Some((
            ErrorCode::InvalidRequest,
            "the key type is 0 for a group, 1 for a transaction, 2 for share state",
        )),
    }
}

fn is_no_share_key(key: &str) -> bool {
    key.split(':').count() < 3
}
