//! Health, readiness, metrics over HTTP. Never a way to change anything.

mod first_bytes;
mod http;
mod readiness;

pub use http::{BindHttpError, HttpServer};
pub use readiness::Readiness;

#[cfg(test)]
mod tests;
