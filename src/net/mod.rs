//! Connections: TCP, TLS, QUIC, one loop, admission.
