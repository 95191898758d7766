//! The one loop of a Kafka connection, whatever carries it.
//!
//! Requests are admitted in the order they came. Produce and Fetch wait for their answers side by side, up to
//! a number; any other request is admitted only when everything before it is answered. Answers are written in
//! order. Nothing here outlives the connection, and a panic in it ends this connection only.

use super::admission::Admission;
use super::answers::{Answer, AnswerWriter, Slot, WriteError};
use super::frames::{Frame, FrameReadError, FrameReader};
use crate::config::LimitsConfig;
use crate::handler::{Admitted, ConnectionInfo, Handle};
use crate::limits::Purpose;
use crate::wire::{self, RequestFrame};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// What every connection of a server shares.
#[derive(Clone)]
pub struct Context {
    /// Answers requests.
    pub handler: Arc<dyn Handle>,
    /// The door: memory, metrics, log.
    pub admission: Arc<Admission>,
    /// Limits of frames and requests.
    pub limits: LimitsConfig,
    /// Cancelled when no further request is to be taken in.
    pub stop: CancellationToken,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum Closed {
    /// No further frame can be read.
    #[error(transparent)]
    Read(#[from] FrameReadError),
    /// Answers can no longer be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A frame's header cannot be read.
    #[error("unreadable request header: {0}")]
    Header(#[from] wire::FrameError),
    /// A request's body cannot be read.
    #[error("unreadable request")]
    Request,
    /// No request for [`IDLE_TIME_MAX`].
    #[error("idle")]
    Idle,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
    /// A bug; the panic's message.
    #[error("panic: {0}")]
    Panic(String),
}

/// Kafka's `connections.max.idle.ms`.
pub const IDLE_TIME_MAX: Duration = Duration::from_secs(600);
/// How long answers may take that are still due when the reading ended.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(30);
/// How long the last bytes of a transport's own closing may take.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(5);

/// Serves one connection to its end, logs why it ended, and says so. Catches panics.
pub async fn run<R, W>(context: Context, info: ConnectionInfo, reader: R, writer: W) -> Closed
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let serving = AssertUnwindSafe(serve(&context, &info, reader, writer)).catch_unwind();
    let closed = serving.await.unwrap_or_else(|panic| Closed::Panic(panic_message(&*panic)));
    info.ended.cancel();
    context.handler.on_disconnect(&info);
    log_end(&context, &info, &closed);
    closed
}

fn log_end(context: &Context, info: &ConnectionInfo, closed: &Closed) {
    let (connection, peer, listener) = (info.connection_id, info.peer, &info.listener);
    match closed {
        Closed::Panic(_) => {
            context.admission.metrics.panics.inc();
            tracing::error!(connection, %peer, listener, %closed, "panic in a connection, which is closed");
        }
        Closed::Read(FrameReadError::End | FrameReadError::Io(_))
        | Closed::Write(WriteError::Io(_))
        | Closed::Idle
        | Closed::Stopping => tracing::debug!(connection, %peer, listener, %closed, "connection closed"),
        Closed::Read(_) | Closed::Write(WriteError::Stalled) | Closed::Header(_) | Closed::Request => {
            context.admission.metrics.connections_failed.inc();
            if let Some(unsaid) = context.admission.may_log() {
                tracing::warn!(connection, %peer, listener, unsaid, reason = %closed, "connection closed");
            }
        }
    }
}

/// The message of a caught panic.
pub(super) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "of unknown kind".to_owned())
}

async fn serve<R, W>(context: &Context, info: &ConnectionInfo, reader: R, writer: W) -> Closed
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let places_max = context.limits.requests_in_flight_max.clamp(1, u32::MAX as usize >> 4);
    let (slots, slots_received) = mpsc::channel(places_max);
    let places = Arc::new(Semaphore::new(places_max));
    let budget = context.admission.budget.clone();
    let frames = FrameReader::new(reader, budget, context.limits.frame_bytes_max);
    let requests = Requests { context, info, frames, places, places_max, slots };
    let mut answers = AnswerWriter::new(writer, slots_received, Arc::clone(&context.admission.turns));
    let read_end = {
        let mut reading = std::pin::pin!(requests.run());
        tokio::select! {
            closed = &mut reading => closed,
            written = answers.run() => return written_end(written),
        }
    };
    // The sender of slots is gone: `run` ends by itself when what was admitted is answered.
    match timeout(DRAIN_TIME_MAX, answers.run()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return error.into(),
        Err(_) => return read_end,
    }
    let _: Result<std::io::Result<()>, _> = timeout(CLOSE_TIME_MAX, answers.close()).await;
    read_end
}

/// While the reading side holds its end of the channel, the writing side ends by an error only.
fn written_end(written: Result<(), WriteError>) -> Closed {
    written.map_or_else(Closed::Write, |()| Closed::Stopping)
}

/// The reading side of a connection.
struct Requests<'a, R> {
    context: &'a Context,
    info: &'a ConnectionInfo,
    frames: FrameReader<R>,
    places: Arc<Semaphore>,
    places_max: usize,
    slots: mpsc::Sender<Slot>,
}

impl<R: AsyncRead + Unpin> Requests<'_, R> {
    async fn run(mut self) -> Closed {
        loop {
            if let Err(closed) = self.step().await {
                return closed;
            }
        }
    }

    /// One request: a place in the order, its frame, its turn.
    async fn step(&mut self) -> Result<(), Closed> {
        let Some((place, frame)) = self.next_frame().await? else { return Ok(()) };
        let began = Instant::now();
        let frame_bytes = frame.bytes.len() as u64;
        let request = wire::decode_frame(frame.bytes)?;
        let metrics = self.context.admission.metrics.api(request.header.api_key);
        metrics.requests.inc();
        metrics.request_bytes.inc_by(frame_bytes);
        let place = self.wait_for_turn(&request, place).await;
        let answer = match self.context.handler.admit(self.info, request, frame.permit).await {
            Admitted::Answer(answer) => Answer::Ready(answer),
            Admitted::Waiting(answer) => Answer::Waiting(answer),
            Admitted::Silent => return Ok(()),
            Admitted::Close => return Err(Closed::Request),
        };
        let slot = Slot { answer, place: Some(place), seconds: metrics.seconds.clone(), began };
        self.slots.send(slot).await.map_err(|_| Closed::Stopping)
    }

    /// A free place, then the next frame; nothing when the wait was idle but answers are still due.
    async fn next_frame(&mut self) -> Result<Option<(OwnedSemaphorePermit, Frame)>, Closed> {
        let stop = &self.context.stop;
        let reading = async {
            let place = Arc::clone(&self.places).acquire_owned().await;
            let place = place.expect("the semaphore is never closed");
            let Ok(head) = timeout(IDLE_TIME_MAX, self.frames.next_head()).await else {
                drop(place);
                let all_answered = self.places.available_permits() == self.places_max;
                return if all_answered { Err(Closed::Idle) } else { Ok(None) };
            };
            let head = head?;
            let purpose = if head.api_key == PRODUCE_KEY { Purpose::Write } else { Purpose::Other };
            let frame = self.frames.read(head.length, purpose).await?;
            Ok(Some((place, frame)))
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(Closed::Stopping),
            frame = reading => frame,
        }
    }

    /// Produce and Fetch go on at once; others wait until everything before them is answered.
    async fn wait_for_turn(
        &self,
        request: &RequestFrame,
        place: OwnedSemaphorePermit,
    ) -> OwnedSemaphorePermit {
        if matches!(request.header.api_key, PRODUCE_KEY | FETCH_KEY) {
            return place;
        }
        drop(place);
        let all = u32::try_from(self.places_max).expect("clamped when the connection began");
        let mut all =
            Arc::clone(&self.places).acquire_many_owned(all).await.expect("the semaphore is never closed");
        all.split(1).expect("all places are at least one")
    }
}

const PRODUCE_KEY: i16 = 0;
const FETCH_KEY: i16 = 1;
