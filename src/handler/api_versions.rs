//! ApiVersions, versions 0 to 4: what this broker speaks.

use crate::wire::ErrorCode;
use crate::wire::api;
use crate::wire::messages::{ApiVersionsRequest, ApiVersionsResponse};

/// Answers the request. From version 3 clients name themselves, and the names must be sensible (KIP-511).
pub fn handle(request: &ApiVersionsRequest, api_version: i16) -> ApiVersionsResponse {
    let named = is_name(&request.client_software_name) && is_name(&request.client_software_version);
    let refused = (api_version >= 3 && !named).then_some(ErrorCode::InvalidRequest);
    api::versions_response(refused, api_version)
}

/// Letters, digits, dots and dashes, beginning and ending with a letter or digit.
fn is_name(text: &str) -> bool {
    let end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    end(bytes.first())
        && end(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
}
