use super::*;
use crate::metrics::Metrics;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn get(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn readiness_says_why_not_and_metrics_are_text() {
    let server = HttpServer::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = server.address();
    let readiness = Readiness::not_ready("recovering the journal");
    let metrics = Arc::new(Metrics::new());
    tokio::spawn(server.serve(readiness.clone(), metrics, Admin::default(), std::future::pending()));

    assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
    let not_yet = get(address, "/readyz").await;
    assert!(not_yet.starts_with("HTTP/1.1 503") && not_yet.ends_with("recovering the journal\n"));
    readiness.set_ready();
    assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
    let text = get(address, "/metrics").await;
    assert!(text.contains("cenote_panics_total 0"), "{text}");
}

#[tokio::test]
async fn a_taken_port_is_one_clear_line() {
    let first = HttpServer::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let error = HttpServer::bind(first.address()).await.unwrap_err();
    assert!(error.to_string().starts_with("HTTP cannot listen on 127.0.0.1:"), "{error}");
}

#[test]
fn a_client_of_kafka_or_of_tls_is_told_from_one_of_http() {
    for (first, protocol) in [
        (&[0, 0, 0, 0x1a, 0, 18, 0, 3][..], Some("Kafka")),
        (&[0], Some("Kafka")),
        (&[0x16, 0x03, 0x01], Some("TLS")),
        (b"GET /metrics HTTP/1.1", None),
        (b"", None),
    ] {
        assert_eq!(first_bytes::other_protocol(first), protocol, "{first:?}");
    }
}
