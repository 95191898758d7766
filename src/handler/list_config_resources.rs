//! ListConfigResources, versions 0 and 1: what has settings (KIP-1142). Version 0 knows client metrics only, which
//! nobody has here.

use super::ConnectionInfo;
use super::brokers::Brokers;
use super::config_resource::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};
use super::context::Context;
use crate::wire::messages::list_config_resources_response::ConfigResource;
use crate::wire::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use crate::wire::{ErrorCode, StrBytes};

/// Kinds that may be asked for; all of them where none is.
const ALL: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

/// Answers the request.
pub fn handle(
    context: &Context,
    request: &ListConfigResourcesRequest,
    api_version: i16,
    connection: &ConnectionInfo,
) -> ListConfigResourcesResponse {
    let wanted = match request.resource_types.as_slice() {
        _ if api_version == 0 => &[CLIENT_METRICS][..],
        [] => ALL.as_slice(),
        types => types,
    };
    let response = ListConfigResourcesResponse::default();
    if wanted.iter().any(|kind| !ALL.contains(kind)) {
        return response.with_error_code(ErrorCode::UnsupportedVersion.code());
    }
    // A kind that is named twice is listed once.
    let listed = ALL.iter().filter(|kind| wanted.contains(kind)).flat_map(|kind| {
        names(context, connection, *kind).into_iter().map(|name| {
            let name = StrBytes::from_string(name);
            ConfigResource::default().with_resource_name(name).with_resource_type(*kind)
        })
    });
    response.with_config_resources(listed.collect())
}

/// Every topic and broker has settings; of groups, those for which some were set.
fn names(context: &Context, connection: &ConnectionInfo, kind: i8) -> Vec<String> {
    match kind {
        TOPIC => context.catalog.all().iter().map(|topic| topic.name.to_string()).collect(),
        BROKER => Brokers::of(context, connection).all().map(|told| told.id.0.to_string()).collect(),
        GROUP => context.group_settings.groups().iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}
