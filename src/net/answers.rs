//! Answers in the order of their requests, written as they become ready.
//!
//! Requests that wait are polled side by side, also while earlier answers are being written: one that is not
//! polled may hold a place in a queue that others wait in. Small chunks are gathered, big ones are written from
//! where they lie, and long answers in turns (`turns.rs`). A peer that takes nothing for a while, or next to nothing, is given up.

use super::turns::{PIECE_BYTES, Turns};
use crate::limits::MemoryPermit;
use crate::wire::ResponseFrame;
use bytes::{Buf, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, Stream};
use prometheus_client::metrics::histogram::Histogram;
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, Sleep, sleep_until};

/// An answer that is there, or not yet.
pub enum Answer {
    /// There.
    Ready(ResponseFrame),
    /// Not yet.
    Waiting(BoxFuture<'static, ResponseFrame>),
}

/// A request's place in the order of answers.
pub struct Slot {
    /// Its answer.
    pub answer: Answer,
    /// Given back when the answer's last byte is written.
    pub place: Option<OwnedSemaphorePermit>,
    /// Where the time until the answer is counted.
    pub seconds: Histogram,
    /// When the frame's last byte was read.
    pub began: Instant,
}

/// Writes one connection's answers.
pub struct AnswerWriter<W> {
    writer: W,
    slots: mpsc::Receiver<Slot>,
    slots_closed: bool,
    waiting: FuturesOrdered<Slot>,
    outgoing: Outgoing,
    turns: Turns,
    stall: Option<Stall>,
    must_flush: bool,
}

/// Why answers can no longer be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer took less than [`WRITE_STALL_BYTES_MIN`] in [`WRITE_STALL_TIME_MAX`] of waiting for it.
    #[error("the peer takes no answers")]
    Stalled,
}

/// How long a write may stand still.
pub const WRITE_STALL_TIME_MAX: Duration = Duration::from_secs(60);
/// What a peer has to take in that time, so that a byte now and then cannot hold an answer's memory for hours.
pub const WRITE_STALL_BYTES_MIN: u64 = 256 * 1024;
/// Chunks up to this size are gathered, in bytes.
const SMALL_CHUNK_BYTES: usize = 1024;
/// Chunks handed to one write.
const SLICES_MAX: usize = 64;

impl Future for Slot {
    type Output = (ResponseFrame, OwnedSemaphorePermit);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let frame = match &mut self.answer {
            Answer::Ready(frame) => std::mem::take(frame),
            Answer::Waiting(answer) => ready!(answer.as_mut().poll(cx)),
        };
        self.seconds.observe(self.began.elapsed().as_secs_f64());
        let place = self.place.take().expect("a slot is not polled after it is ready");
        Poll::Ready((frame, place))
    }
}

impl<W: AsyncWrite + Unpin> AnswerWriter<W> {
    /// Writes the answers of `slots` to `writer`; long ones in the turns that `turns` has for all connections.
    pub fn new(writer: W, slots: mpsc::Receiver<Slot>, turns: Arc<Semaphore>) -> AnswerWriter<W> {
        AnswerWriter {
            writer,
            slots,
            slots_closed: false,
            waiting: FuturesOrdered::new(),
            outgoing: Outgoing::default(),
            turns: Turns::new(turns),
            stall: None,
            must_flush: false,
        }
    }

    /// Runs until the sender of slots is gone and every answer is written.
    pub async fn run(&mut self) -> Result<(), WriteError> {
        std::future::poll_fn(|cx| self.poll_run(cx)).await
    }

    /// Tells the peer that nothing more comes.
    pub async fn close(&mut self) -> io::Result<()> {
        self.writer.shutdown().await
    }

    fn poll_run(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        loop {
            self.take_slots(cx);
            self.take_answers(cx);
            if self.outgoing.is_empty() && !self.must_flush {
                self.stall = None;
                let done = self.slots_closed && self.waiting.is_empty();
                return if done { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            ready!(self.turns.poll_begin(cx, self.outgoing.bytes));
            let written = self.poll_write(cx);
            self.turns.end();
            if written?.is_pending() {
                return self.poll_stall(cx);
            }
        }
    }

    fn take_slots(&mut self, cx: &mut Context<'_>) {
        while !self.slots_closed {
            match self.slots.poll_recv(cx) {
                Poll::Ready(Some(slot)) => self.waiting.push_back(slot),
                Poll::Ready(None) => self.slots_closed = true,
                Poll::Pending => return,
            }
        }
    }

    fn take_answers(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some((frame, place))) = Pin::new(&mut self.waiting).poll_next(cx) {
            self.outgoing.push(frame, place);
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        if self.outgoing.is_empty() {
            ready!(Pin::new(&mut self.writer).poll_flush(cx))?;
            self.must_flush = false;
            return Poll::Ready(Ok(()));
        }
        self.must_flush = true;
        let written = ready!(self.outgoing.poll_write(Pin::new(&mut self.writer), cx))?;
        if written == 0 {
            return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into()));
        }
        self.outgoing.on_written(written);
        Poll::Ready(Ok(()))
    }

    fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        let written = self.outgoing.written_total;
        let stall = match &mut self.stall {
            Some(stall) if written - stall.written_total < WRITE_STALL_BYTES_MIN => stall,
            slot => slot.insert(Stall {
                written_total: written,
                until: Box::pin(sleep_until(Instant::now() + WRITE_STALL_TIME_MAX)),
            }),
        };
        ready!(stall.until.as_mut().poll(cx));
        Poll::Ready(Err(WriteError::Stalled))
    }
}

/// A time in which the peer has to take something.
struct Stall {
    /// What it had taken before.
    written_total: u64,
    until: Pin<Box<Sleep>>,
}

/// Chunks on their way, and where in them each answer ends.
#[derive(Debug, Default)]
struct Outgoing {
    chunks: VecDeque<Bytes>,
    small: BytesMut,
    bytes: usize,
    queued_total: u64,
    written_total: u64,
    ends: VecDeque<AnswerEnd>,
}

/// What an answer holds until its last byte is written: a slow peer must not hold memory that nobody counts.
#[derive(Debug)]
struct AnswerEnd {
    written_total: u64,
    _place: OwnedSemaphorePermit,
    _memory: Option<Arc<MemoryPermit>>,
}

impl Outgoing {
    fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    fn push(&mut self, frame: ResponseFrame, place: OwnedSemaphorePermit) {
        for chunk in frame.chunks {
            self.bytes += chunk.len();
            self.queued_total += chunk.len() as u64;
            if chunk.len() <= SMALL_CHUNK_BYTES {
                self.small.extend_from_slice(&chunk);
            } else {
                self.seal_small();
                self.chunks.push_back(chunk);
            }
        }
        let end = AnswerEnd { written_total: self.queued_total, _place: place, _memory: frame.permit };
        self.ends.push_back(end);
    }

    fn seal_small(&mut self) {
        if !self.small.is_empty() {
            self.chunks.push_back(self.small.split().freeze());
        }
    }

    fn poll_write<W: AsyncWrite>(
        &mut self,
        writer: Pin<&mut W>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.seal_small();
        let first = self.chunks.front().expect("asked only when there are bytes");
        if first.len() >= PIECE_BYTES || self.chunks.len() == 1 || !writer.is_write_vectored() {
            return writer.poll_write(cx, &first[..first.len().min(PIECE_BYTES)]);
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let (mut count, mut left) = (0, PIECE_BYTES);
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            if left == 0 {
                break;
            }
            *slice = IoSlice::new(&chunk[..chunk.len().min(left)]);
            left -= slice.len();
            count += 1;
        }
        writer.poll_write_vectored(cx, &slices[..count])
    }

    fn on_written(&mut self, mut written: usize) {
        self.bytes -= written;
        self.written_total += written as u64;
        while let Some(chunk) = self.chunks.front_mut().filter(|_| written > 0) {
            let taken = written.min(chunk.len());
            chunk.advance(taken);
            written -= taken;
            if chunk.is_empty() {
                self.chunks.pop_front();
            }
        }
        while self.ends.front().is_some_and(|end| end.written_total <= self.written_total) {
            self.ends.pop_front();
        }
    }
}
