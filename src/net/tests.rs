use super::*;
use crate::config::{LimitsConfig, Listener, Transport};
use crate::handler::{Admitted, ConnectionInfo, Handle};
use crate::limits::{MemoryBudget, MemoryPermit, Purpose};
use crate::mesh::ClientSecurity;
use crate::metrics::Metrics;
use crate::wire::{RequestFrame, ResponseFrame};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const METADATA: i16 = 3;
const UNKNOWN: i16 = 900;

/// Answers with the correlation id and a filling; Produce waits until the test says so.
#[derive(Default)]
struct Echo {
    admitted: Mutex<Vec<i32>>,
    answers: Mutex<HashMap<i32, oneshot::Receiver<()>>>,
    filling: usize,
    answer_memory: Option<MemoryBudget>,
}

impl Echo {
    fn holds(&self, correlation_id: i32) -> oneshot::Sender<()> {
        let (release, released) = oneshot::channel();
        self.answers.lock().insert(correlation_id, released);
        release
    }
}

impl Handle for Echo {
    fn on_disconnect(&self, _: &ConnectionInfo) {}

    fn admit<'a>(
        &'a self,
        _: &'a ConnectionInfo,
        request: RequestFrame,
        permit: MemoryPermit,
    ) -> BoxFuture<'a, Admitted> {
        let correlation_id = request.header.correlation_id;
        self.admitted.lock().push(correlation_id);
        let mut answer = answer(correlation_id, self.filling);
        answer.permit = self
            .answer_memory
            .as_ref()
            .and_then(|memory| memory.try_reserve(1024, Purpose::Other))
            .map(Arc::new);
        let held = self.answers.lock().remove(&correlation_id);
        Box::pin(async move {
            assert_ne!(correlation_id, PANICS, "as the test wants it");
            match held {
                None => Admitted::Answer(answer),
                Some(released) => Admitted::Waiting(Box::pin(async move {
                    let _: Result<(), _> = released.await;
                    drop(permit);
                    answer
                })),
            }
        })
    }
}

const PANICS: i32 = 666;

fn answer(correlation_id: i32, filling: usize) -> ResponseFrame {
    let mut head = BytesMut::new();
    head.put_u32(u32::try_from(4 + filling).unwrap());
    head.put_i32(correlation_id);
    ResponseFrame { chunks: vec![head.freeze(), Bytes::from(vec![7; filling])], permit: None }
}

fn request(api_key: i16, correlation_id: i32, body: usize) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.put_u32(u32::try_from(10 + body).unwrap());
    frame.put_i16(api_key);
    frame.put_i16(4);
    frame.put_i32(correlation_id);
    frame.put_i16(-1);
    frame.resize(14 + body, 0);
    frame
}

async fn read_answer(stream: &mut (impl AsyncRead + Unpin)) -> i32 {
    let length = stream.read_u32().await.unwrap();
    let correlation_id = stream.read_i32().await.unwrap();
    let mut rest = vec![0; length as usize - 4];
    stream.read_exact(&mut rest).await.unwrap();
    assert!(rest.iter().all(|byte| *byte == 7));
    correlation_id
}

fn limits() -> LimitsConfig {
    LimitsConfig {
        frame_bytes_max: 100 << 20,
        request_memory_bytes: 256 << 20,
        connections_max: 100,
        requests_in_flight_max: 4,
    }
}

struct World {
    handler: Arc<Echo>,
    budget: MemoryBudget,
    metrics: Arc<Metrics>,
    context: Context,
}

impl World {
    fn new(handler: Echo, memory: usize) -> World {
        let handler = Arc::new(handler);
        let (budget, metrics) = (MemoryBudget::new(memory), Arc::new(Metrics::new()));
        let admission = Arc::new(Admission::new(100, budget.clone(), Arc::clone(&metrics)));
        let stop = CancellationToken::new();
        let context = Context { handler: Arc::clone(&handler) as _, admission, limits: limits(), stop };
        World { handler, budget, metrics, context }
    }

    fn connect(&self, buffer: usize) -> (DuplexStream, JoinHandle<Closed>) {
        let (ours, theirs) = duplex(buffer);
        let (reader, writer) = tokio::io::split(theirs);
        let client = "127.0.0.1:1".parse().unwrap();
        let info = ConnectionInfo::of_client(1, "PLAINTEXT".to_owned(), client, ClientSecurity::Plain);
        (ours, tokio::spawn(run(self.context.clone(), info, reader, writer)))
    }

    async fn until_admitted(&self, expected: &[i32]) {
        while *self.handler.admitted.lock() != expected {
            tokio::task::yield_now().await;
        }
    }
}

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn produce_and_fetch_wait_side_by_side_and_are_answered_in_order() {
    let world = World::new(Echo { filling: 5_000, ..Echo::default() }, 1 << 20);
    let (first, second) = (world.handler.holds(1), world.handler.holds(2));
    let (mut client, _task) = world.connect(1 << 20);
    client.write_all(&[request(PRODUCE, 1, 0), request(FETCH, 2, 0)].concat()).await.unwrap();
    world.until_admitted(&[1, 2]).await;
    second.send(()).unwrap();
    settle().await;
    first.send(()).unwrap();
    assert_eq!(read_answer(&mut client).await, 1);
    assert_eq!(read_answer(&mut client).await, 2);
}

#[tokio::test]
async fn any_other_request_waits_for_those_before_it() {
    let world = World::new(Echo::default(), 1 << 20);
    let first = world.handler.holds(1);
    let (mut client, _task) = world.connect(1 << 20);
    client.write_all(&[request(PRODUCE, 1, 0), request(METADATA, 2, 0)].concat()).await.unwrap();
    world.until_admitted(&[1]).await;
    settle().await;
    assert_eq!(*world.handler.admitted.lock(), [1], "the second must not be admitted yet");
    first.send(()).unwrap();
    assert_eq!(read_answer(&mut client).await, 1);
    assert_eq!(read_answer(&mut client).await, 2);
}

#[tokio::test]
async fn more_requests_than_places_are_not_read() {
    let world = World::new(Echo::default(), 1 << 20);
    let held: Vec<_> = (1..=5).map(|id| world.handler.holds(id)).collect();
    let (mut client, _task) = world.connect(1 << 20);
    let requests: Vec<u8> = (1..=5).flat_map(|id| request(PRODUCE, id, 0)).collect();
    client.write_all(&requests).await.unwrap();
    world.until_admitted(&[1, 2, 3, 4]).await;
    settle().await;
    assert_eq!(world.handler.admitted.lock().len(), 4);
    drop(held);
    for id in 1..=5 {
        assert_eq!(read_answer(&mut client).await, id);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_frame_closes_the_connection() {
    for (bytes, reason) in [
        (&[0x7f, 0xff, 0xff, 0xff][..], "a frame of 2147483647 bytes"),
        (&[0xff, 0xff, 0xff, 0xff], "a frame of -1 bytes"),
        (&[0, 0, 0, 0], "a frame of 0 bytes"),
        (b"GET / HTTP/1.1\r\n\r\n", "the peer speaks HTTP"),
        (b"POST / HTTP/1.1\r\n\r\n", "the peer speaks HTTP"),
        (&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01], "the peer speaks TLS"),
        (&[0, 0, 0, 1, 9], "a frame of 1 bytes"),
        (&[0, 0, 0, 8, 0, 18, 0, 3, 0, 0, 0, 1], "unreadable request header"),
        (&[0, 0], "frame, then silence"),
        (&[0, 0, 1, 0, 1, 2, 3], "3 of 256 bytes of a frame, then silence"),
    ] {
        let world = World::new(Echo::default(), 1 << 20);
        let (mut client, task) = world.connect(1 << 20);
        client.write_all(bytes).await.unwrap();
        let closed = task.await.unwrap().to_string();
        assert!(closed.contains(reason), "{closed}, not {reason}");
        assert_eq!(client.read(&mut [0; 10]).await.unwrap(), 0);
        assert_eq!(world.budget.free_bytes(), world.budget.total_bytes());
        assert_eq!(world.metrics.connections_failed.get(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn one_byte_at_a_time_is_a_request_and_a_trickle_into_a_big_frame_is_not() {
    let world = World::new(Echo::default(), 200 << 20);
    let (mut client, _task) = world.connect(64);
    for byte in request(METADATA, 1, 0) {
        client.write_u8(byte).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(read_answer(&mut client).await, 1);

    let (mut client, task) = world.connect(64);
    client.write_u32(1 << 20).await.unwrap();
    while client.write_u8(0).await.is_ok() {
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    assert!(task.await.unwrap().to_string().contains("bytes of a frame"));
    assert_eq!(world.budget.free_bytes(), world.budget.total_bytes());
}

#[tokio::test]
async fn a_frame_of_any_size_arrives_whole() {
    for body in [0, 1, 32 * 1024 - 14, 32 * 1024, 1 << 20, (5 << 20) + 3] {
        let world = World::new(Echo::default(), 64 << 20);
        let (mut client, _task) = world.connect(50_000);
        let twice = [request(PRODUCE, 1, body), request(PRODUCE, 2, body)].concat();
        client.write_all(&twice).await.unwrap();
        assert_eq!(read_answer(&mut client).await, 1);
        assert_eq!(read_answer(&mut client).await, 2);
    }
}

#[tokio::test]
async fn over_the_memory_budget_reading_waits_and_goes_on() {
    let world = World::new(Echo::default(), 64 * 1024);
    let first = world.handler.holds(1);
    let (mut client, _task) = world.connect(1 << 20);
    client.write_all(&request(PRODUCE, 1, 40 * 1024)).await.unwrap();
    client.write_all(&request(PRODUCE, 2, 40 * 1024)).await.unwrap();
    world.until_admitted(&[1]).await;
    settle().await;
    assert_eq!(world.handler.admitted.lock().len(), 1, "the second has no memory yet");
    first.send(()).unwrap();
    assert_eq!(read_answer(&mut client).await, 1);
    assert_eq!(read_answer(&mut client).await, 2);
}

#[tokio::test]
async fn writes_that_wait_leave_memory_for_other_requests() {
    let world = World::new(Echo::default(), 64 * 1024);
    let held: Vec<_> = (1..=2).map(|id| world.handler.holds(id)).collect();
    let (mut writer, _task) = world.connect(1 << 20);
    writer
        .write_all(&[request(PRODUCE, 1, 50 * 1024), request(PRODUCE, 2, 40 * 1024)].concat())
        .await
        .unwrap();
    world.until_admitted(&[1]).await;
    let (mut client, _task) = world.connect(1 << 20);
    client.write_all(&request(METADATA, 3, 4 * 1024)).await.unwrap();
    assert_eq!(read_answer(&mut client).await, 3);
    drop(held);
    assert_eq!(read_answer(&mut writer).await, 1);
    assert_eq!(read_answer(&mut writer).await, 2);
}

#[tokio::test]
async fn an_answer_that_waits_is_polled_while_the_one_before_it_is_written() {
    let world = World::new(Echo { filling: 4 << 20, ..Echo::default() }, 64 << 20);
    let second = world.handler.holds(2);
    let (mut client, _task) = world.connect(1024);
    client.write_all(&[request(FETCH, 1, 0), request(FETCH, 2, 0)].concat()).await.unwrap();
    world.until_admitted(&[1, 2]).await;
    settle().await;
    second.send(()).unwrap();
    settle().await;
    assert_eq!(world.budget.free_bytes(), world.budget.total_bytes(), "it has ended, and nobody has read");
    assert_eq!(read_answer(&mut client).await, 1);
    assert_eq!(read_answer(&mut client).await, 2);
}

#[tokio::test]
async fn a_short_answer_is_written_between_the_pieces_of_long_ones() {
    const LONG: usize = 8 << 20;
    let far = World::new(Echo { filling: LONG, ..Echo::default() }, 1 << 20);
    let mut near = World::new(Echo::default(), 1 << 20);
    near.context.admission = Arc::clone(&far.context.admission);
    let mut readers = Vec::new();
    for _ in 0..8 {
        let (mut stream, _) = far.connect(2 * LONG);
        stream.write_all(&request(FETCH, 1, 0)).await.unwrap();
        readers.push(stream);
    }
    let (mut stream, _) = near.connect(1 << 10);
    stream.write_all(&request(PRODUCE, 2, 0)).await.unwrap();
    assert_eq!(read_answer(&mut stream).await, 2);
    let mut written = 0;
    let mut piece = vec![0; 1 << 20];
    for reader in &mut readers {
        while let Some(read) = reader.read(&mut piece).now_or_never() {
            written += read.unwrap();
        }
    }
    assert!(written <= LONG, "{written} bytes of long answers came first");
    let rest = async {
        while written < 8 * (LONG + 8) {
            for reader in &mut readers {
                if let Ok(read) =
                    tokio::time::timeout(Duration::from_millis(1), reader.read(&mut piece)).await
                {
                    written += read.unwrap();
                }
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), rest).await.expect("all are written in the end");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_next_to_nothing_is_given_up() {
    let world = World::new(Echo { filling: 8 << 20, ..Echo::default() }, 64 << 20);
    let (mut client, task) = world.connect(1024);
    client.write_all(&request(METADATA, 1, 0)).await.unwrap();
    while client.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(task.await.unwrap().to_string(), "the peer takes no answers");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_no_answers_is_given_up() {
    let world = World::new(Echo { filling: 1 << 20, ..Echo::default() }, 1 << 20);
    let (mut client, task) = world.connect(1024);
    client.write_all(&request(METADATA, 1, 0)).await.unwrap();
    assert_eq!(task.await.unwrap().to_string(), "the peer takes no answers");
}

#[tokio::test]
async fn an_answer_holds_its_memory_until_its_last_byte_is_written() {
    let memory = MemoryBudget::new(1024);
    let answer_memory = Some(memory.clone());
    let world = World::new(Echo { filling: 20_000, answer_memory, ..Echo::default() }, 1 << 20);
    let (mut client, _task) = world.connect(1024);
    client.write_all(&request(METADATA, 1, 0)).await.unwrap();
    world.until_admitted(&[1]).await;
    settle().await;
    assert_eq!(memory.free_bytes(), 0, "most of the answer is still to be written");
    assert_eq!(read_answer(&mut client).await, 1);
    settle().await;
    assert_eq!(memory.free_bytes(), 1024);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_that_makes_progress_is_kept() {
    let world = World::new(Echo { filling: 2 << 20, ..Echo::default() }, 1 << 20);
    let (mut client, _task) = world.connect(128 * 1024);
    client.write_all(&request(METADATA, 1, 0)).await.unwrap();
    let mut left = (2 << 20) + 8;
    while left > 0 {
        tokio::time::sleep(Duration::from_secs(20)).await;
        left -= client.read(&mut [0; 128 * 1024]).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_and_a_waiting_one_is_not() {
    let world = World::new(Echo::default(), 1 << 20);
    let (_client, task) = world.connect(1024);
    assert_eq!(task.await.unwrap().to_string(), "idle");

    let held = world.handler.holds(1);
    let (mut client, _task) = world.connect(1024);
    client.write_all(&request(FETCH, 1, 0)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1500)).await;
    held.send(()).unwrap();
    assert_eq!(read_answer(&mut client).await, 1);
}

#[tokio::test]
async fn a_panic_ends_its_connection_and_is_counted() {
    let world = World::new(Echo::default(), 1 << 20);
    let (mut client, task) = world.connect(1024);
    client.write_all(&request(METADATA, PANICS, 0)).await.unwrap();
    assert!(matches!(task.await.unwrap(), Closed::Panic(_)));
    assert_eq!(world.metrics.panics.get(), 1);
    assert_eq!(world.budget.free_bytes(), world.budget.total_bytes());
}

#[tokio::test]
async fn an_unknown_api_reaches_the_handler_which_answers_it() {
    let world = World::new(Echo::default(), 1 << 20);
    let (mut client, _task) = world.connect(1024);
    client.write_all(&request(UNKNOWN, 4, 0)).await.unwrap();
    assert_eq!(read_answer(&mut client).await, 4);
}

#[tokio::test]
async fn a_half_closed_connection_still_gets_its_answers() {
    let world = World::new(Echo::default(), 1 << 20);
    let held = world.handler.holds(1);
    let (mut client, _task) = world.connect(1024);
    client.write_all(&request(PRODUCE, 1, 0)).await.unwrap();
    client.shutdown().await.unwrap();
    world.until_admitted(&[1]).await;
    held.send(()).unwrap();
    assert_eq!(read_answer(&mut client).await, 1);
}

fn listener(name: &str, transport: Transport, port: u16) -> Listener {
    Listener { name: name.to_owned(), transport, host: "127.0.0.1".to_owned(), port, advertised: None }
}

async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), id: i32) {
    stream.write_all(&request(PRODUCE, id, 100_000)).await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(read_answer(stream).await, id);
}

fn client_tls(identity: &std::path::Path, alpn: &[&[u8]]) -> rustls::ClientConfig {
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    let file = identity.join("certificate.pem");
    roots.add(rustls::pki_types::CertificateDer::from_pem_file(file).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config
}

#[tokio::test]
async fn the_same_loop_serves_tcp_tls_and_quic_and_shuts_down_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let identity = Identity::for_development(directory.path()).unwrap();
    let listeners = [
        listener("PLAINTEXT", Transport::Tcp, 0),
        listener("SSL", Transport::Tls, 0),
        listener("QUIC", Transport::Quic, 0),
    ];
    let server = Server::bind(&listeners, Some(&identity)).await.unwrap();
    let bound: Vec<_> = server.bound().iter().map(|door| door.address).collect();
    let metrics = Arc::new(Metrics::new());
    let handler = Arc::new(Echo { filling: 300_000, ..Echo::default() });
    let serving =
        server.serve(Arc::clone(&handler) as _, limits(), MemoryBudget::new(1 << 24), Arc::clone(&metrics));

    let mut plain = tokio::net::TcpStream::connect(bound[0]).await.unwrap();
    ask(&mut plain, 1).await;

    let connector = tokio_rustls::TlsConnector::from(Arc::new(client_tls(directory.path(), &[])));
    let stream = tokio::net::TcpStream::connect(bound[1]).await.unwrap();
    let mut tls = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    ask(&mut tls, 2).await;

    let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let config = client_tls(directory.path(), &[ALPN]);
    let config = quinn::crypto::rustls::QuicClientConfig::try_from(config).unwrap();
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(config)));
    let connection = endpoint.connect(bound[2], "localhost").unwrap().await.unwrap();
    for id in 3..6 {
        let (send, receive) = connection.open_bi().await.unwrap();
        ask(&mut tokio::io::join(receive, send), id).await;
    }
    assert_eq!(metrics.connections.quic.get(), 1);
    assert_eq!(metrics.connections.tcp.get(), 1);

    let held = handler.holds(9);
    plain.write_all(&request(PRODUCE, 9, 0)).await.unwrap();
    while handler.admitted.lock().last() != Some(&9) {
        tokio::task::yield_now().await;
    }
    let stopping = tokio::spawn(serving.shutdown(Duration::from_secs(5)));
    settle().await;
    held.send(()).unwrap();
    assert_eq!(read_answer(&mut plain).await, 9);
    assert!(stopping.await.unwrap(), "everything was answered");
    assert_eq!(metrics.connections.tcp.get(), 0);
    assert!(tokio::net::TcpStream::connect(bound[0]).await.is_err());
}

#[tokio::test]
async fn a_quic_client_without_the_protocol_name_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let identity = Identity::for_development(directory.path()).unwrap();
    let server = Server::bind(&[listener("QUIC", Transport::Quic, 0)], Some(&identity)).await.unwrap();
    let address = server.bound()[0].address;
    let _serving = server.serve(
        Arc::new(Echo::default()),
        limits(),
        MemoryBudget::new(1 << 20),
        Arc::new(Metrics::new()),
    );
    let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let config = client_tls(directory.path(), &[b"h3"]);
    let config = quinn::crypto::rustls::QuicClientConfig::try_from(config).unwrap();
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(config)));
    assert!(endpoint.connect(address, "localhost").unwrap().await.is_err());
}

#[tokio::test]
async fn over_connections_max_a_connection_is_closed_and_a_place_comes_back() {
    let server = Server::bind(&[listener("PLAINTEXT", Transport::Tcp, 0)], None).await.unwrap();
    let address = server.bound()[0].address;
    let metrics = Arc::new(Metrics::new());
    let limits = LimitsConfig { connections_max: 1, ..limits() };
    let budget = MemoryBudget::new(1 << 20);
    let _serving = server.serve(Arc::new(Echo::default()), limits, budget, Arc::clone(&metrics));
    let mut first = tokio::net::TcpStream::connect(address).await.unwrap();
    ask(&mut first, 1).await;
    let mut second = tokio::net::TcpStream::connect(address).await.unwrap();
    assert_eq!(second.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(metrics.connections_refused.get(), 1);
    drop(first);
    while metrics.connections.tcp.get() > 0 {
        tokio::task::yield_now().await;
    }
    ask(&mut tokio::net::TcpStream::connect(address).await.unwrap(), 2).await;
}

#[tokio::test]
async fn a_taken_port_and_a_missing_identity_are_one_clear_line() {
    let server = Server::bind(&[listener("PLAINTEXT", Transport::Tcp, 0)], None).await.unwrap();
    let port = server.bound()[0].address.port();
    let error = Server::bind(&[listener("OTHER", Transport::Tcp, port)], None).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("OTHER cannot listen on 127.0.0.1:{port}: ")), "{error}");
    let error = Server::bind(&[listener("SSL", Transport::Tls, 0)], None).await.unwrap_err();
    assert_eq!(error.to_string(), "SSL needs a certificate");
}

#[test]
fn the_development_certificate_is_made_once_and_its_key_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let below = directory.path().join("tls");
    let first = Identity::for_development(&below).unwrap().fingerprint();
    assert_eq!(first.len(), 32 * 3 - 1);
    assert_eq!(Identity::for_development(&below).unwrap().fingerprint(), first);
    let mode = std::fs::metadata(below.join("key.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
