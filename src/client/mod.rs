//! A small Kafka client over TCP and QUIC.
