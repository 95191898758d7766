//! DescribeCluster, versions 0 to 2: the brokers and the cluster's id (KIP-700).

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
    let (host, port) = context.cluster.address(&connection.listener);
    let broker_id = BrokerId(context.cluster.broker_id.0);
    let broker = DescribeClusterBroker::default()
        .with_broker_id(broker_id)
        .with_host(StrBytes::from_string(host))
        .with_port(port);
    response.with_controller_id(broker_id).with_brokers(vec![broker])
}
