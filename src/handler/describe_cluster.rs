//! DescribeCluster, versions 0 to 2: the brokers and the cluster's id (KIP-700).

use super::brokers::Brokers;
use super::context::Context;
use super::{ConnectionInfo, authorized};
use crate::wire::messages::describe_cluster_response::DescribeClusterBroker;
use crate::wire::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};
use crate::wire::{ErrorCode, StrBytes};

/// Asks for brokers; controllers (2) are not reached by clients here.
const BROKERS: i8 = 1;

/// Answers the request.
pub fn handle(
    context: &Context,
    request: &DescribeClusterRequest,
    api_version: i16,
    connection: &ConnectionInfo,
) -> DescribeClusterResponse {
    let response = DescribeClusterResponse::default()
        .with_cluster_id(StrBytes::from_string(context.cluster.cluster_id.to_string()))
        .with_cluster_authorized_operations(authorized::on_cluster(
            request.include_cluster_authorized_operations,
        ));
    if api_version >= 1 && request.endpoint_type != BROKERS {
        let message = "The broker does not describe controllers; ask with endpoint type 1.";
        return response
            .with_error_code(ErrorCode::MismatchedEndpointType.code())
            .with_error_message(Some(StrBytes::from_static_str(message)));
    }
    let brokers = Brokers::of(context, connection);
    let described = brokers.all().map(|told| {
        DescribeClusterBroker::default()
            .with_broker_id(BrokerId(told.id.0))
            .with_host(told.host.clone())
            .with_port(told.port)
            .with_rack(told.rack.clone())
    });
    response.with_controller_id(BrokerId(brokers.controller().0)).with_brokers(described.collect())
}
