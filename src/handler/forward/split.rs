//! Requests about several things: each part goes to who leads it, and the answers are put together in the order of the
//! request.
//!
//! A part that is answered here goes the same way through its handler as a whole request: as bytes. Only requests that
//! really have several leaders pay for that.

use super::route::{self, Key, Route};
use super::{At, deadline, whole};
use crate::handler::{Admitted, answer_here};
use crate::topic::Topic;
use crate::wire::api::ApiKey;
use crate::wire::{
    HeaderVersion, Request, RequestFrame, RequestHeader, decode_frame, decode_response, encode_request,
};
use bytes::{Buf, Bytes};
use futures_util::future::join_all;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// A request whose parts may have different leaders. Handlers answer the parts in the order in which they are asked.
pub(super) trait Split: Request<Response: Send + HeaderVersion> + Clone + Send + Sync {
    /// Something that has one leader.
    type Part: Clone + Send + Sync;
    /// What is answered for it.
    type Said: Send;

    /// Takes all parts out of the request.
    fn parts(&mut self) -> Vec<Self::Part>;
    /// What a part is about.
    fn key(part: &Self::Part) -> Key<'_>;
    /// Puts parts in.
    fn set(&mut self, parts: Vec<Self::Part>);
    /// Takes what is answered for the parts out of an answer.
    fn said(response: &mut Self::Response) -> Vec<Self::Said>;
    /// Puts it into one.
    fn merge(response: &mut Self::Response, said: Vec<Self::Said>);
}

/// A request in its parts.
struct Parts<Q: Split> {
    /// The request without any.
    template: Q,
    parts: Vec<Q::Part>,
    /// Who answers which, by their places in the request.
    by_route: BTreeMap<Route, Vec<usize>>,
}

/// Answers a request by asking those who lead its parts; none if that is this session alone, or nobody could be asked.
pub(super) async fn split<Q: Split>(at: At<'_>, frame: &RequestFrame) -> Option<Admitted> {
    // What cannot be read is told so by its handler.
    let parts = Parts::<Q>::of(at, frame.decode::<Q>().ok()?).await;
    let api_key = ApiKey::from_code(frame.header.api_key)?;
    match parts.only_route() {
        Some(Route::Here) => None,
        Some(Route::Other(session)) => whole::send(at, api_key, frame, session).await,
        None => parts.ask_all(at, api_key, &frame.header).await,
    }
}

impl<Q: Split> Parts<Q> {
    async fn of(at: At<'_>, mut request: Q) -> Parts<Q> {
        let parts = request.parts();
        let mut by_route: BTreeMap<Route, Vec<usize>> = BTreeMap::new();
        let mut held = Vec::new();
        let mut last: Option<(&str, Option<Arc<Topic>>)> = None;
        for (place, part) in parts.iter().enumerate() {
            let key = Q::key(part);
            let route = match key {
                Key::Partition(name, index) => {
                    let topic = match &last {
                        Some((known, topic)) if *known == name => topic.clone(),
                        _ => at.context.topic_by_name(name).await.ok(),
                    };
                    let route = topic.as_ref().map(|topic| route::of_partition(at, topic, index));
                    if route == Some(Route::Here) {
                        held.extend(topic.clone().map(|topic| (topic, index)));
                    }
                    last = Some((name, topic));
                    route.unwrap_or(Route::Here)
                }
                _ => key.placement().map_or(Route::Here, |key| route::of_key(at, key)),
            };
            by_route.entry(route).or_default().push(place);
        }
        let deadline = deadline(ApiKey::ListOffsets);
        route::hold(at.context, held.iter().map(|(topic, index)| (topic, *index)), deadline).await;
        Parts { template: request, parts, by_route }
    }

    /// Who answers all of it, if that is one; a request without parts is answered here.
    fn only_route(&self) -> Option<Route> {
        match self.by_route.len() {
            0 => Some(Route::Here),
            1 => self.by_route.keys().next().copied(),
            _ => None,
        }
    }

    async fn ask_all(self, at: At<'_>, api_key: ApiKey, header: &RequestHeader) -> Option<Admitted> {
        let asked = self.by_route.iter().map(|(route, places)| self.ask(at, api_key, header, *route, places));
        let mut answers = Vec::with_capacity(self.by_route.len());
        for (answer, places) in join_all(asked).await.into_iter().zip(self.by_route.values()) {
            answers.push((answer?, places));
        }
        let mut said: Vec<Option<Q::Said>> = self.parts.iter().map(|_| None).collect();
        let mut response = None;
        for ((rest, of_route), places) in answers {
            for (place, of_part) in places.iter().zip(of_route) {
                said[*place] = Some(of_part);
            }
            response.get_or_insert(rest);
        }
        let mut response = response?;
        Q::merge(&mut response, said.into_iter().collect::<Option<Vec<_>>>()?);
        Some(Admitted::Answer(crate::handler::encode(header, &response)))
    }

    /// One leader's answer, without what it says of the parts, and that. If it gives none, this broker says so.
    async fn ask(
        &self,
        at: At<'_>,
        api_key: ApiKey,
        header: &RequestHeader,
        route: Route,
        places: &[usize],
    ) -> Option<(Q::Response, VecDeque<Q::Said>)> {
        let mut request = self.template.clone();
        request.set(places.iter().map(|place| self.parts[*place].clone()).collect());
        let frame = encode_request(header, &request).ok()?.slice(LENGTH_BYTES..);
        let read = |answer: Bytes| {
            let (_, mut response) = decode_response::<Q::Response>(answer, header.api_version).ok()?;
            let said = VecDeque::from(Q::said(&mut response));
            (said.len() == places.len()).then_some((response, said))
        };
        if let Route::Other(session) = route {
            let asked = at.context.peers.call(session, at.client(), frame.clone(), deadline(api_key)).await;
            match asked.map(read) {
                Ok(Some(read)) => return Some(read),
                Ok(None) => tracing::warn!(?api_key, %session, "another broker's answer cannot be read"),
                Err(error) => tracing::debug!(?api_key, %session, %error, "a part was not answered"),
            }
        }
        let frame = decode_frame(frame).ok()?;
        match Box::pin(answer_here(at.context, at.connection, api_key, &frame)).await {
            Admitted::Answer(answer) => {
                let mut bytes = Bytes::from(answer.chunks.concat());
                bytes.advance(LENGTH_BYTES);
                read(bytes)
            }
            Admitted::Waiting(_) | Admitted::Silent | Admitted::Close => None,
        }
    }
}

const LENGTH_BYTES: usize = 4;
