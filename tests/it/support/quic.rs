//! A raw client over QUIC: one Kafka connection a bidirectional stream, independent of the library's own client.

use super::raw::decode_header;
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::RequestHeader;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Longer than any handshake or answer of the tests; only a broker that hangs reaches it.
const DEADLINE: Duration = Duration::from_secs(30);

/// One QUIC connection; each of its streams is a Kafka connection.
pub struct QuicClient {
    _endpoint: Endpoint,
    connection: Connection,
}

/// One Kafka connection.
pub struct QuicStream {
    send: SendStream,
    receive: RecvStream,
    correlation_id: i32,
}

impl QuicClient {
    /// Connects with an ALPN name; `kafka` is the broker's.
    pub async fn connect(address: SocketAddr, alpn: &str) -> Result<QuicClient, String> {
        let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("a UDP socket");
        let crypto = QuicClientConfig::try_from(tls_config(alpn)).expect("TLS 1.3");
        let config = quinn::ClientConfig::new(Arc::new(crypto));
        let connecting = endpoint.connect_with(config, address, "localhost").expect("a legal address");
        let connection =
            tokio::time::timeout(DEADLINE, connecting).await.map_err(|_| "no answer".to_owned())?;
        Ok(QuicClient { connection: connection.map_err(|error| error.to_string())?, _endpoint: endpoint })
    }

    /// Opens a stream.
    pub async fn open(&self) -> QuicStream {
        let (send, receive) = self.connection.open_bi().await.expect("a stream");
        QuicStream { send, receive, correlation_id: 0 }
    }

    /// Waits until the broker closed the whole connection, and says why.
    pub async fn closed(&self) -> String {
        self.connection.closed().await.to_string()
    }
}

impl QuicStream {
    /// Sends a request and waits for its answer.
    pub async fn call<R: Request>(&mut self, api_version: i16, request: &R) -> R::Response {
        self.correlation_id += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(api_version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(StrBytes::from_static_str("it-quic")));
        let mut message = BytesMut::new();
        header.encode(&mut message, R::header_version(api_version)).expect("an encodable header");
        request.encode(&mut message, api_version).expect("an encodable request");
        let mut frame = BytesMut::new();
        frame.put_i32(i32::try_from(message.len()).expect("a small frame"));
        frame.put_slice(&message);
        self.send.write_all(&frame).await.expect("an open stream");

        let frame = self.read_frame().await.expect("an answer, not a closed stream");
        let answer = decode_header(frame, R::Response::header_version(api_version));
        assert_eq!(answer.correlation_id, self.correlation_id, "answers come in order");
        let mut body = answer.body;
        R::Response::decode(&mut body, api_version).expect("a decodable answer")
    }

    /// Sends any bytes.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.send.write_all(bytes).await.expect("an open stream");
    }

    /// The next frame without its length, or `None` when the broker closed the stream.
    pub async fn read_frame(&mut self) -> Option<Bytes> {
        tokio::time::timeout(DEADLINE, self.read_whole()).await.expect("an answer in time")
    }

    async fn read_whole(&mut self) -> Option<Bytes> {
        let mut length = [0; 4];
        self.receive.read_exact(&mut length).await.ok()?;
        let mut frame = vec![0; usize::try_from(i32::from_be_bytes(length)).expect("a length")];
        self.receive.read_exact(&mut frame).await.ok()?;
        Some(frame.into())
    }
}

fn tls_config(alpn: &str) -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate { provider }))
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    config
}

/// The broker's certificate was made at its first start: nobody has signed it.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
