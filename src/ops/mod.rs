//! Health, readiness, metrics over HTTP.
