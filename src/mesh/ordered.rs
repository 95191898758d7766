//! A stream that keeps the order of its requests: for what one client's connection produces to one leader.
//!
//! ```text
//! send ──▶ place ──▶ queue of those who wait ──▶ bytes      answers ──▶ head of the queue, its correlation id compared
//! ```
//! A request is in the queue before its bytes leave, so that no answer comes before somebody waits for it. Many may be on
//! their way; past the limit, or when the peer takes no bytes, the next waits. When the stream breaks, everything
//! without an answer is unknown, and nothing more can be sent on it.

use super::call::{self, CallError, NotSent, RequestSender, Unknown};
use super::carrier::{RecvStream, SendStream};
use super::frame;
use super::peer::Peer;
use super::transport::code;
use crate::metrics::MeshMetrics;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Sends requests in order. Dropped, it tells the peer that no more come; answers are still waited for a while.
pub struct OrderedStream {
    sender: RequestSender,
    /// Until it has left.
    preamble: Bytes,
    waiting: mpsc::Sender<Waiting>,
    places: Arc<Semaphore>,
    metrics: MeshMetrics,
    broken: CancellationToken,
    _open: DropGuard,
}

/// An answer that is to come.
#[derive(Debug)]
pub struct PendingAnswer {
    answer: oneshot::Receiver<Answer>,
    metrics: MeshMetrics,
    began: Instant,
}

/// The answer, and the place that is free once somebody has taken it.
type Answer = Result<(Bytes, OwnedSemaphorePermit), CallError>;

/// What a stream is opened with.
pub(super) struct OrderedTerms {
    pub in_flight_max: usize,
    pub answer_bytes_max: usize,
    pub metrics: MeshMetrics,
    /// Keeps the connection for as long as answers may come.
    pub _peer: Peer,
}

/// Whoever waits for an answer.
struct Waiting {
    correlation_id: i32,
    place: OwnedSemaphorePermit,
    answer: oneshot::Sender<Answer>,
}

/// How long answers are read when the stream was dropped by its sender.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(30);

impl OrderedStream {
    /// Takes an open stream. The preamble leaves with the first request.
    pub(super) fn new(
        (send, receive): (SendStream, RecvStream),
        preamble: Bytes,
        terms: OrderedTerms,
    ) -> OrderedStream {
        let in_flight_max = terms.in_flight_max.clamp(1, Semaphore::MAX_PERMITS);
        let (waiting, queue) = mpsc::channel(in_flight_max);
        let (dropped, broken) = (CancellationToken::new(), CancellationToken::new());
        let metrics = terms.metrics.clone();
        let reader = AnswerReader { receive, queue, terms, dropped: dropped.clone(), broken: broken.clone() };
        tokio::spawn(reader.run());
        OrderedStream {
            sender: RequestSender::new(send),
            preamble,
            waiting,
            places: Arc::new(Semaphore::new(in_flight_max)),
            metrics,
            broken,
            _open: dropped.drop_guard(),
        }
    }

    /// Sends `request`, a Kafka frame without its length, after all that were sent before. An error says that it was not
    /// sent; [`OrderedStream::is_over`] tells whether another may be.
    pub async fn send(&mut self, request: Bytes, deadline: Instant) -> Result<PendingAnswer, NotSent> {
        let began = Instant::now();
        let sent = self.enqueue(request, deadline).await;
        if sent.is_err() {
            self.metrics.not_sent.inc();
        }
        Ok(PendingAnswer { answer: sent?, metrics: self.metrics.clone(), began })
    }

    /// Sends a request that has no answer (Produce with acks=0). An error says that it was not sent.
    pub async fn send_unanswered(&mut self, request: Bytes, deadline: Instant) -> Result<(), NotSent> {
        let sent = match call::head(&self.preamble, &request) {
            Ok(head) => self.write(head, request, deadline).await,
            Err(error) => Err(error),
        };
        if sent.is_err() {
            self.metrics.not_sent.inc();
        }
        sent
    }

    /// Whether the stream is over: nothing can be sent on it any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.sender.is_over() || self.waiting.is_closed()
    }

    async fn enqueue(
        &mut self,
        request: Bytes,
        deadline: Instant,
    ) -> Result<oneshot::Receiver<Answer>, NotSent> {
        let correlation_id = frame::correlation_id(&request).ok_or(NotSent::Frame(request.len()))?;
        let head = call::head(&self.preamble, &request)?;
        let place = timeout_at(deadline, Arc::clone(&self.places).acquire_owned()).await;
        let place = place.map_err(|_| NotSent::Deadline)?.expect("the semaphore is never closed");
        let (answer, answered) = oneshot::channel();
        // There is room: there are no more places than the queue has.
        let queued = self.waiting.try_send(Waiting { correlation_id, place, answer });
        queued.map_err(|_| NotSent::Lost("the stream is over".to_owned()))?;
        self.write(head, request, deadline).await?;
        Ok(answered)
    }

    async fn write(&mut self, head: Bytes, request: Bytes, deadline: Instant) -> Result<(), NotSent> {
        let bytes = request.len() as u64;
        let written = self.sender.write(&mut [head, request], deadline).await;
        if written.is_err() {
            self.broken.cancel();
        }
        written?;
        self.preamble.clear();
        self.metrics.request_bytes.inc_by(bytes);
        Ok(())
    }
}

impl Drop for OrderedStream {
    fn drop(&mut self) {
        // A request whose sending was given up halfway.
        if self.sender.is_over() {
            self.broken.cancel();
        }
    }
}

impl PendingAnswer {
    /// Waits for the answer, a Kafka frame without its length. Giving up does not take the request back.
    pub async fn wait(self, deadline: Instant) -> Result<Bytes, CallError> {
        let answer = match timeout_at(deadline, self.answer).await {
            Ok(Ok(answer)) => answer.map(|(bytes, _place)| bytes),
            Ok(Err(_gone)) => Err(Unknown::Lost("the stream is over".to_owned()).into()),
            Err(_) => Err(Unknown::Deadline.into()),
        };
        count(&self.metrics, answer.as_ref(), self.began);
        answer
    }
}

/// Counts what became of a request.
pub(super) fn count(metrics: &MeshMetrics, answer: Result<&Bytes, &CallError>, began: Instant) {
    match answer {
        Ok(bytes) => {
            metrics.answered.inc();
            metrics.answer_bytes.inc_by(bytes.len() as u64);
            metrics.seconds.observe(began.elapsed().as_secs_f64());
        }
        Err(CallError::NotSent(_)) => {
            metrics.not_sent.inc();
        }
        Err(CallError::Unknown(_)) => {
            metrics.unknown.inc();
        }
    }
}

/// Reads answers and gives them to those who wait, in order.
struct AnswerReader {
    receive: RecvStream,
    queue: mpsc::Receiver<Waiting>,
    terms: OrderedTerms,
    dropped: CancellationToken,
    broken: CancellationToken,
}

impl AnswerReader {
    async fn run(mut self) {
        let (dropped, broken) = (self.dropped.clone(), self.broken.clone());
        let read = {
            let reading = self.read_all();
            let mut reading = std::pin::pin!(reading);
            tokio::select! {
                biased;
                () = broken.cancelled() => Some(Err(Unknown::Lost("the stream was given up".to_owned()).into())),
                read = &mut reading => Some(read),
                () = dropped.cancelled() => timeout(DRAIN_TIME_MAX, reading).await.ok(),
            }
        };
        let error = match read {
            Some(Ok(())) => return,
            Some(Err(error)) => error,
            None => Unknown::Deadline.into(),
        };
        // Ends the sending side too: whatever comes after an answer that is missing cannot be told apart.
        self.receive.stop(code::ABANDONED);
        self.queue.close();
        while let Some(waiting) = self.queue.recv().await {
            let _ = waiting.answer.send(Err(error.clone()));
        }
    }

    async fn read_all(&mut self) -> Result<(), CallError> {
        while let Some(waiting) = self.queue.recv().await {
            let reading =
                frame::read_answer(&mut self.receive, waiting.correlation_id, self.terms.answer_bytes_max);
            // Whoever waits may have given up; the answer had to be read all the same.
            match reading.await {
                Ok(answer) => drop(waiting.answer.send(Ok((answer, waiting.place)))),
                Err(error) => {
                    let error = CallError::from(error);
                    let _ = waiting.answer.send(Err(error.clone()));
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}
