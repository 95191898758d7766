//! A client that sends exactly what it is told over one TCP connection: typed requests, or any bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any long poll of the tests; only a broker that hangs reaches it.
const READ_DEADLINE: Duration = Duration::from_secs(30);

/// One connection.
pub struct Client {
    stream: TcpStream,
    correlation_id: i32,
}

/// What stood in an answer before its typed body.
pub struct Answer {
    pub correlation_id: i32,
    pub body: Bytes,
}

impl Client {
    /// Connects with a deadline on every later read.
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("a connection to the broker");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        stream.set_read_timeout(Some(READ_DEADLINE)).expect("a read deadline");
        Client { stream, correlation_id: 0 }
    }

    /// Connects to a broker that may be away, and waits no longer for anything than this.
    pub fn try_connect(address: SocketAddr, patience: Duration) -> io::Result<Client> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Client { stream, correlation_id: 0 })
    }

    /// Asks a broker that may go away. After an error the connection is of no use.
    pub fn try_call<R: Request>(&mut self, api_version: i16, request: &R) -> io::Result<R::Response> {
        let (correlation_id, frame) = self.frame(api_version, request);
        self.stream.write_all(&frame)?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length)).expect("a length that is not negative");
        let mut frame = vec![0; length];
        self.stream.read_exact(&mut frame)?;
        let answer = decode_header(frame.into(), R::Response::header_version(api_version));
        assert_eq!(answer.correlation_id, correlation_id, "the answer to this request");
        let mut body = answer.body;
        Ok(R::Response::decode(&mut body, api_version).expect("a decodable answer"))
    }

    /// Sends a request and waits for its answer.
    pub fn call<R: Request>(&mut self, api_version: i16, request: &R) -> R::Response {
        let correlation_id = self.send(api_version, request);
        self.receive::<R>(api_version, correlation_id)
    }

    /// Sends a request and does not wait. Returns its correlation id.
    pub fn send<R: Request>(&mut self, api_version: i16, request: &R) -> i32 {
        let (correlation_id, frame) = self.frame(api_version, request);
        self.send_bytes(&frame);
        correlation_id
    }

    /// A request as a frame, length prefix included, not yet sent.
    pub fn frame<R: Request>(&mut self, api_version: i16, request: &R) -> (i32, Bytes) {
        let mut body = BytesMut::new();
        request.encode(&mut body, api_version).expect("an encodable request");
        self.frame_of(R::KEY, api_version, R::header_version(api_version), &body)
    }

    /// A frame of any key and version, with any body.
    pub fn frame_of(&mut self, key: i16, api_version: i16, header_version: i16, body: &[u8]) -> (i32, Bytes) {
        self.correlation_id += 1;
        let header = RequestHeader::default()
            .with_request_api_key(key)
            .with_request_api_version(api_version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(StrBytes::from_static_str("it")));
        let mut message = BytesMut::new();
        header.encode(&mut message, header_version).expect("an encodable header");
        message.put_slice(body);
        let mut frame = BytesMut::with_capacity(message.len() + 4);
        frame.put_i32(i32::try_from(message.len()).expect("a frame below 2 GiB"));
        frame.put_slice(&message);
        (self.correlation_id, frame.freeze())
    }

    /// Sends any bytes. A broker that closed already is no failure: the next read will tell.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        match self.stream.write_all(bytes) {
            Err(error) if !is_closed(&error) => panic!("cannot send: {error}"),
            _ => {}
        }
    }

    /// The answer that must come next.
    pub fn receive<R: Request>(&mut self, api_version: i16, correlation_id: i32) -> R::Response {
        let frame = self.read_frame().expect("an answer, not a closed connection");
        let answer = decode_header(frame, R::Response::header_version(api_version));
        assert_eq!(answer.correlation_id, correlation_id, "answers come in the order of the requests");
        let mut body = answer.body;
        let body_bytes = body.len();
        let response = R::Response::decode(&mut body, api_version).expect("a decodable answer");
        assert!(!body.has_remaining(), "{} bytes after the answer", body.remaining());
        // Old librdkafka (Debian's kcat) cannot read tagged fields that hold their defaults.
        let shortest = response.compute_size(api_version).expect("an encodable answer");
        assert_eq!(body_bytes, shortest, "defaulted tagged fields are left out");
        response
    }

    /// The next frame without its length, or `None` when the broker closed the connection.
    pub fn read_frame(&mut self) -> Option<Bytes> {
        let mut length = [0; 4];
        self.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length)).expect("a length that is not negative");
        let mut frame = vec![0; length];
        self.read_exact(&mut frame)?;
        Some(frame.into())
    }

    /// Whether the broker has closed the connection; waits until it does or answers.
    pub fn is_closed_by_broker(&mut self) -> bool {
        let mut byte = [0; 1];
        self.read_exact(&mut byte).is_none()
    }

    /// The stream itself.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    fn read_exact(&mut self, into: &mut [u8]) -> Option<()> {
        match self.stream.read_exact(into) {
            Ok(()) => Some(()),
            Err(error) if is_closed(&error) => None,
            Err(error) => panic!("no answer within {READ_DEADLINE:?}: {error}"),
        }
    }
}

/// Splits a frame into its correlation id and its body.
pub fn decode_header(mut frame: Bytes, header_version: i16) -> Answer {
    let header = ResponseHeader::decode(&mut frame, header_version).expect("a response header");
    Answer { correlation_id: header.correlation_id, body: frame }
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
    )
}
