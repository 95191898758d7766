//! Bytes on their way from one node to another, in their order. What was sent arrives later; while the line between the nodes
//! is cut nothing arrives, and nothing is lost either: it is sent again until the line is there or the connection is given
//! up.

use crate::machine;
use crate::network::{Life, Links, Node};
use bytes::Bytes;
use cenote::mesh::simulated::{Receiving, Sending};
use parking_lot::Mutex;
use quinn::{ConnectionError, ReadError, VarInt, WriteError};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// What may be on its way.
const WINDOW: usize = 256 * 1024;
/// Between attempts while the line is cut.
pub const AGAIN: Duration = Duration::from_millis(50);

/// One direction of one stream.
#[derive(Default)]
pub struct Flow {
    chunks: VecDeque<(u64, Bytes)>,
    bytes: usize,
    last_at: u64,
    finished_at: Option<u64>,
    reset: Option<VarInt>,
    stopped: Option<VarInt>,
    lost: Option<ConnectionError>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Flow {
    /// The connection is over.
    pub fn lose(&mut self, why: &ConnectionError) {
        self.lost.get_or_insert_with(|| why.clone());
        self.wake();
    }

    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

/// What both ends share.
#[derive(Clone)]
pub struct Pipe {
    pub flow: Arc<Mutex<Flow>>,
    pub links: Arc<Links>,
    pub from: Node,
    pub to: Node,
}

pub struct Sender {
    pipe: Pipe,
    life: Life,
}

pub struct Receiver {
    pipe: Pipe,
    life: Life,
    wait: Option<Pin<Box<Sleep>>>,
}

/// A pipe from one node to another: its two ends, each with the process that has it.
pub fn pipe(
    links: &Arc<Links>,
    (from, sender): (Node, Life),
    (to, receiver): (Node, Life),
) -> (Sender, Receiver) {
    let pipe = Pipe { flow: Arc::default(), links: Arc::clone(links), from, to };
    (Sender { pipe: pipe.clone(), life: sender }, Receiver { pipe, life: receiver, wait: None })
}

impl Sender {
    pub fn flow(&self) -> Arc<Mutex<Flow>> {
        Arc::clone(&self.pipe.flow)
    }
}

impl Sending for Sender {
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, WriteError>> {
        let mut flow = self.pipe.flow.lock();
        if let Some(error) = &flow.lost {
            return Poll::Ready(Err(WriteError::ConnectionLost(error.clone())));
        }
        if let Some(code) = flow.stopped {
            return Poll::Ready(Err(WriteError::Stopped(code)));
        }
        if flow.reset.is_some() || flow.finished_at.is_some() {
            return Poll::Ready(Err(WriteError::ClosedStream));
        }
        let room = WINDOW - flow.bytes;
        if room == 0 {
            flow.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let taken = room.min(bytes.len());
        let at = flow.last_at.max(machine::now() + self.pipe.links.latency(self.pipe.from, self.pipe.to));
        flow.last_at = at;
        flow.bytes += taken;
        flow.chunks.push_back((at, Bytes::copy_from_slice(&bytes[..taken])));
        if let Some(waker) = flow.reader.take() {
            waker.wake();
        }
        Poll::Ready(Ok(taken))
    }

    fn reset(&mut self, code: VarInt) {
        let mut flow = self.pipe.flow.lock();
        if flow.finished_at.is_none() || !flow.chunks.is_empty() {
            flow.reset.get_or_insert(code);
            flow.wake();
        }
    }

    fn finish(&mut self) {
        let mut flow = self.pipe.flow.lock();
        if flow.finished_at.is_none() {
            flow.finished_at = Some(flow.last_at.max(machine::now() + 1));
            flow.wake();
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if self.life.is_alive() {
            self.finish();
        }
    }
}

impl Receiver {
    /// Waits as a reader does, until a moment or until something is said.
    fn wait(&mut self, cx: &mut Context<'_>, nanos: Option<u64>) -> bool {
        self.wait = nanos.map(|nanos| Box::pin(sleep(Duration::from_nanos(nanos.max(1)))));
        self.wait.as_mut().is_some_and(|wait| wait.as_mut().poll(cx).is_ready())
    }
}

impl Receiving for Receiver {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        bytes_max: usize,
    ) -> Poll<Result<Option<Bytes>, ReadError>> {
        loop {
            let pipe = self.pipe.clone();
            let mut flow = pipe.flow.lock();
            if let Some(error) = &flow.lost {
                return Poll::Ready(Err(ReadError::ConnectionLost(error.clone())));
            }
            if let Some(code) = flow.reset {
                return Poll::Ready(Err(ReadError::Reset(code)));
            }
            let now = machine::now();
            let next = flow.chunks.front().map(|(at, _)| *at).or(flow.finished_at);
            let wait = match next {
                Some(at) if at > now => Some(at - now),
                Some(_) if !pipe.links.is_open(pipe.from, pipe.to) => {
                    Some(u64::try_from(AGAIN.as_nanos()).expect("short"))
                }
                Some(_) => {
                    let Some((_, chunk)) = flow.chunks.front_mut() else { return Poll::Ready(Ok(None)) };
                    let bytes = chunk.split_to(bytes_max.min(chunk.len()));
                    if chunk.is_empty() {
                        flow.chunks.pop_front();
                    }
                    flow.bytes -= bytes.len();
                    if let Some(waker) = flow.writer.take() {
                        waker.wake();
                    }
                    return Poll::Ready(Ok(Some(bytes)));
                }
                None => None,
            };
            flow.reader = Some(cx.waker().clone());
            drop(flow);
            if !self.wait(cx, wait) {
                return Poll::Pending;
            }
        }
    }

    fn stop(&mut self, code: VarInt) {
        let mut flow = self.pipe.flow.lock();
        flow.stopped.get_or_insert(code);
        flow.wake();
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if self.life.is_alive() {
            self.stop(VarInt::from_u32(0));
        }
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sender({} to {})", self.pipe.from, self.pipe.to)
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receiver({} to {})", self.pipe.from, self.pipe.to)
    }
}

impl AsyncRead for Receiver {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Receiving::poll_read(self.get_mut(), cx, buffer.remaining()).map(|read| {
            if let Some(bytes) = read? {
                buffer.put_slice(&bytes);
            }
            Ok(())
        })
    }
}

impl AsyncWrite for Sender {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Sending::poll_write(self.get_mut(), cx, bytes).map_err(io::Error::from)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().finish();
        Poll::Ready(Ok(()))
    }
}
