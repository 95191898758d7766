//! The object store: a map, behind a network that fails. What was asked is done by the store's own machine, also when whoever
//! asked is gone by then.

use crate::dice::Dice;
use crate::machine::SECOND;
use crate::network::{Links, Node, OBJECTS};
use crate::pipe::AGAIN;
use crate::tally::Tally;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::sleep;

/// How often what fails, of a thousand operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectFaults {
    pub before: u64,
    pub after: u64,
    pub twice: u64,
    pub cut: u64,
    pub flip: u64,
    pub late: u64,
    pub stall: u64,
}

impl ObjectFaults {
    /// None, when all is over.
    pub const NONE: ObjectFaults =
        ObjectFaults { before: 0, after: 0, twice: 0, cut: 0, flip: 0, late: 0, stall: 0 };

    /// Some, each seed others.
    pub fn drawn(dice: &Dice) -> ObjectFaults {
        let rate = |most: u64| if dice.permille(500) { dice.below(most) } else { 0 };
        ObjectFaults {
            before: rate(60),
            after: rate(60),
            twice: rate(40),
            cut: rate(40),
            flip: rate(40),
            late: rate(100),
            stall: rate(6),
        }
    }
}

/// The store itself.
pub struct Objects {
    all: Mutex<BTreeMap<Path, Bytes>>,
    faults: Mutex<ObjectFaults>,
    dice: Dice,
    links: Arc<Links>,
    machine: Handle,
    tally: Tally,
    put_bytes: AtomicU64,
}

/// The store as one broker has it.
pub struct ObjectsOf {
    pub objects: Arc<Objects>,
    pub node: Node,
}

/// What becomes of one operation.
struct Fate {
    before: Duration,
    after: Duration,
    fails: Option<Fails>,
    /// Done again so much later, as a network does that sends twice.
    again: Option<Duration>,
}

#[derive(PartialEq, Eq)]
enum Fails {
    Before,
    After,
}

/// How often a stall looks whether it is over.
const STALL_SHARE: Duration = Duration::from_secs(1);

impl Objects {
    pub fn new(dice: Dice, links: Arc<Links>, machine: Handle, tally: Tally) -> Arc<Objects> {
        let faults = Mutex::new(ObjectFaults::NONE);
        Arc::new(Objects {
            all: Mutex::default(),
            faults,
            dice,
            links,
            machine,
            tally,
            put_bytes: AtomicU64::new(0),
        })
    }

    pub fn set_faults(&self, faults: ObjectFaults) {
        *self.faults.lock() = faults;
    }

    fn fate(&self, node: Node) -> Fate {
        let (faults, dice) = (*self.faults.lock(), &self.dice);
        let usual = |dice: &Dice| dice.between(SECOND / 500..SECOND / 100);
        let before = if dice.permille(faults.stall) {
            self.tally.happens("object store stalls", node);
            dice.between(10 * SECOND..120 * SECOND)
        } else if dice.permille(faults.late) {
            self.tally.happens("object store is late", node);
            dice.between(SECOND / 10..4 * SECOND)
        } else {
            usual(dice)
        };
        let fails = if dice.permille(faults.before) {
            self.tally.happens("object store fails before", node);
            Some(Fails::Before)
        } else if dice.permille(faults.after) {
            self.tally.happens("object store fails after the effect", node);
            Some(Fails::After)
        } else {
            None
        };
        let again = dice.permille(faults.twice).then(|| {
            self.tally.happens("object store does twice", node);
            Duration::from_nanos(dice.between(SECOND / 100..2 * SECOND))
        });
        let after = Duration::from_nanos(usual(dice));
        Fate { before: Duration::from_nanos(before), after, fails, again }
    }

    /// Does something on the store's machine, for a node, with whatever comes between.
    async fn ask<T: Send + 'static>(
        self: &Arc<Objects>,
        node: Node,
        writes: bool,
        work: impl Fn(&Objects) -> Result<T> + Send + Sync + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let (objects, fate) = (Arc::clone(self), self.fate(node));
        self.machine.spawn(async move {
            objects.stall(fate.before).await;
            let outcome = if fate.fails == Some(Fails::Before) || !objects.links.is_open(node, OBJECTS) {
                Err(failed("it was not done"))
            } else {
                let done = work(&objects);
                if fate.fails == Some(Fails::After) { Err(failed("it was done")) } else { done }
            };
            sleep(fate.after).await;
            while !objects.links.is_open(OBJECTS, node) {
                sleep(AGAIN).await;
            }
            // Whoever asked may be gone.
            let _ = answer.send(outcome);
            if let Some(again) = fate.again.filter(|_| writes) {
                sleep(again).await;
                let _ = work(&objects);
            }
        });
        answered.await.unwrap_or_else(|_| Err(failed("the store is gone")))
    }

    /// Waits, but not longer than something fails at all.
    async fn stall(&self, before: Duration) {
        let mut left = before;
        while !left.is_zero() {
            let share = left.min(STALL_SHARE);
            sleep(share).await;
            left = if *self.faults.lock() == ObjectFaults::NONE { Duration::ZERO } else { left - share };
        }
    }

    /// Bytes of all PUTs.
    pub fn put_bytes(&self) -> u64 {
        self.put_bytes.load(Ordering::Relaxed)
    }

    /// What a GET brings, cut or changed on its way.
    fn on_the_way(&self, node: Node, bytes: Bytes) -> Bytes {
        let faults = *self.faults.lock();
        if !bytes.is_empty() && self.dice.permille(faults.cut) {
            self.tally.happens("object bodies cut", node);
            return bytes.slice(..self.dice.index(bytes.len()));
        }
        if !bytes.is_empty() && self.dice.permille(faults.flip) {
            self.tally.happens("object bits flipped", node);
            let mut changed = BytesMut::from(&bytes[..]);
            let (at, bit) = (self.dice.index(bytes.len()), self.dice.below(8));
            changed[at] ^= 1 << bit;
            return changed.freeze();
        }
        bytes
    }
}

fn failed(what: &'static str) -> Error {
    Error::Generic { store: "simulated", source: what.into() }
}

/// What is put, for who counts.
fn kind(path: &Path) -> &'static str {
    let path = path.as_ref();
    [
        ("manifests/", "manifests put"),
        ("/merged-", "merged journal objects put"),
        ("journal/", "journal objects put"),
        ("indexes/", "index objects put"),
        ("topics/", "segments put"),
    ]
    .into_iter()
    .find_map(|(word, kind)| path.contains(word).then_some(kind))
    .unwrap_or("other objects put")
}

fn missing(path: &Path) -> Error {
    Error::NotFound { path: path.to_string(), source: "no such object".into() }
}

fn meta(path: &Path, bytes: &Bytes) -> ObjectMeta {
    ObjectMeta {
        location: path.clone(),
        last_modified: std::time::UNIX_EPOCH.into(),
        size: bytes.len() as u64,
        e_tag: None,
        version: None,
    }
}

impl fmt::Debug for ObjectsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectsOf({})", self.node)
    }
}

impl fmt::Display for ObjectsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("simulated:")
    }
}

impl ObjectsOf {
    async fn found(&self, prefix: Option<Path>, after: Option<Path>) -> Result<Vec<ObjectMeta>> {
        self.objects
            .ask(self.node, false, move |objects| {
                let all = objects.all.lock();
                let below = all.iter().filter(|(path, _)| {
                    prefix.as_ref().is_none_or(|prefix| path.prefix_matches(prefix) && *path != prefix)
                        && after.as_ref().is_none_or(|after| *path > after)
                });
                Ok(below.map(|(path, bytes)| meta(path, bytes)).collect())
            })
            .await
    }

    fn listed(&self, prefix: Option<&Path>, after: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let own = ObjectsOf { objects: Arc::clone(&self.objects), node: self.node };
        let (prefix, after) = (prefix.cloned(), after.cloned());
        let found = stream::once(async move { own.found(prefix, after).await });
        found.map_ok(|all| stream::iter(all.into_iter().map(Ok))).try_flatten().boxed()
    }
}

#[async_trait]
impl ObjectStore for ObjectsOf {
    async fn put_opts(&self, path: &Path, payload: PutPayload, _: PutOptions) -> Result<PutResult> {
        let (path, bytes) = (path.clone(), Bytes::from(payload));
        let put = move |objects: &Objects| {
            objects.put_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            objects.tally.count(kind(&path));
            objects.all.lock().insert(path.clone(), bytes.clone());
            Ok(PutResult { e_tag: None, version: None, extensions: Default::default() })
        };
        self.objects.ask(self.node, true, put).await
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(Error::NotImplemented { operation: "multipart".into(), implementer: "simulated".into() })
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let wanted = path.clone();
        let head = options.head;
        let (bytes, range, whole) = self
            .objects
            .ask(self.node, false, move |objects| {
                let whole = objects.all.lock().get(&wanted).cloned().ok_or_else(|| missing(&wanted))?;
                let size = whole.len() as u64;
                let range = match &options.range {
                    Some(range) => range.as_range(size).map_err(|_| failed("no such range"))?,
                    None => 0..size,
                };
                let ends = |at: u64| usize::try_from(at).expect("in memory");
                Ok((whole.slice(ends(range.start)..ends(range.end)), range, whole))
            })
            .await?;
        let bytes = if head { Bytes::new() } else { self.objects.on_the_way(self.node, bytes) };
        Ok(GetResult {
            payload: GetResultPayload::Stream(stream::once(async move { Ok(bytes) }).boxed()),
            meta: meta(path, &whole),
            range,
            attributes: Attributes::default(),
            extensions: Default::default(),
        })
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (objects, node) = (Arc::clone(&self.objects), self.node);
        let delete = move |path: Result<Path>| {
            let objects = Arc::clone(&objects);
            async move {
                let path = path?;
                let gone = path.clone();
                let delete = move |objects: &Objects| {
                    if objects.all.lock().remove(&gone).is_some() {
                        objects.tally.count("objects deleted");
                    }
                    Ok(())
                };
                objects.ask(node, true, delete).await?;
                Ok(path)
            }
        };
        paths.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(prefix, None)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        after: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(prefix, Some(after))
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(Error::NotImplemented { operation: "folders".into(), implementer: "simulated".into() })
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(Error::NotImplemented { operation: "copies".into(), implementer: "simulated".into() })
    }
}
