use super::{Mailboxes, Undelivered};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc;

type Tasks = Arc<Mailboxes<&'static str, u32>>;

/// Counts the tasks that began; each forwards what it is sent and retires as soon as it may.
fn begin(
    tasks: &Tasks,
    began: &Arc<AtomicUsize>,
    seen: &mpsc::UnboundedSender<u32>,
) -> impl Fn(mpsc::Receiver<u32>) {
    let (tasks, began, seen) = (Arc::clone(tasks), Arc::clone(began), seen.clone());
    move |mut calls| {
        began.fetch_add(1, Ordering::SeqCst);
        let (tasks, seen) = (Arc::clone(&tasks), seen.clone());
        tokio::spawn(async move {
            while let Some(call) = calls.recv().await {
                seen.send(call).expect("the test listens");
                if tasks.retire(&"a", &calls) {
                    return;
                }
            }
        });
    }
}

#[tokio::test]
async fn no_call_is_lost_while_tasks_come_and_go() {
    let tasks: Tasks = Arc::new(Mailboxes::new(10));
    let (began, (seen, mut received)) = (Arc::default(), mpsc::unbounded_channel());
    for call in 0..1_000 {
        tasks.send(&"a", call, begin(&tasks, &began, &seen)).await.expect("open");
    }
    for call in 0..1_000 {
        assert_eq!(received.recv().await, Some(call), "in order, each once");
    }
    assert!(began.load(Ordering::SeqCst) > 0);
    assert!(tasks.keys().is_empty());
}

#[tokio::test]
async fn there_are_no_more_tasks_than_may_be_and_none_once_closed() {
    let tasks: Mailboxes<&str, u32> = Mailboxes::new(1);
    let (kept, calls) = std::sync::mpsc::channel();
    let keep = |mailbox| kept.send(mailbox).expect("kept");
    tasks.send(&"a", 1, keep).await.expect("the first");
    tasks.send(&"a", 2, keep).await.expect("the same");
    assert_eq!(tasks.send(&"b", 3, keep).await, Err(Undelivered::TooMany));
    tasks.close();
    assert_eq!(tasks.send(&"a", 4, keep).await, Err(Undelivered::Closed));
    assert!(*tasks.closed().borrow());
    let mut calls = calls.recv().expect("one task began");
    assert_eq!((calls.recv().await, calls.recv().await, calls.recv().await), (Some(1), Some(2), None));
}
