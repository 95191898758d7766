use super::{Mailboxes, Undelivered};
use crate::meta::Term;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc;

type Tasks = Arc<Mailboxes<&'static str, u32>>;

/// Counts the tasks that began; each forwards what it is sent and retires as soon as it may.
fn begin(
    tasks: &Tasks,
    term: &Term,
    began: &Arc<AtomicUsize>,
    seen: &mpsc::UnboundedSender<u32>,
) -> impl Fn(mpsc::Receiver<u32>) {
    let (tasks, began, seen, term) = (Arc::clone(tasks), Arc::clone(began), seen.clone(), term.clone());
    move |mut calls| {
        began.fetch_add(1, Ordering::SeqCst);
        let (tasks, seen, term) = (Arc::clone(&tasks), seen.clone(), term.clone());
        tokio::spawn(async move {
            while let Some(call) = calls.recv().await {
                seen.send(call).expect("the test listens");
                if tasks.retire(&"a", &term, &calls) {
                    return;
                }
            }
        });
    }
}

#[tokio::test]
async fn no_call_is_lost_while_tasks_come_and_go() {
    let tasks: Tasks = Arc::new(Mailboxes::new(10));
    let (began, (seen, mut received), term) = (Arc::default(), mpsc::unbounded_channel(), Term::new());
    for call in 0..1_000 {
        tasks.send(&"a", &term, call, begin(&tasks, &term, &began, &seen)).await.expect("open");
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
    let term = Term::new();
    tasks.send(&"a", &term, 1, keep).await.expect("the first");
    tasks.send(&"a", &term, 2, keep).await.expect("the same");
    assert_eq!(tasks.send(&"b", &term, 3, keep).await, Err(Undelivered::TooMany));
    tasks.close();
    assert_eq!(tasks.send(&"a", &term, 4, keep).await, Err(Undelivered::Closed));
    assert!(*tasks.closed().borrow());
    let mut calls = calls.recv().expect("one task began");
    assert_eq!((calls.recv().await, calls.recv().await, calls.recv().await), (Some(1), Some(2), None));
}

#[tokio::test]
async fn a_call_of_one_term_never_reaches_the_task_of_another() {
    let tasks: Mailboxes<&str, u32> = Mailboxes::new(1);
    let (kept, calls) = std::sync::mpsc::channel::<mpsc::Receiver<u32>>();
    let keep = |mailbox| kept.send(mailbox).expect("kept");
    let (first, second) = (Term::new(), Term::new());
    tasks.send(&"a", &first, 1, keep).await.expect("open");
    first.close();
    assert_eq!(tasks.send(&"a", &first, 2, keep).await, Err(Undelivered::Closed));
    tasks.send(&"a", &second, 3, keep).await.expect("another task takes the place of the first");
    let mut of_first = calls.recv().expect("one task began");
    let mut of_second = calls.recv().expect("and another");
    assert_eq!((of_first.recv().await, of_first.recv().await), (Some(1), None));
    // The first may end late: that changes nothing for the second.
    tasks.abandon(&"a", &first);
    assert!(tasks.retire(&"a", &first, &of_first));
    assert!(tasks.has(&"a", &second) && !tasks.has(&"a", &first));
    assert_eq!(of_second.recv().await, Some(3));
    assert!(tasks.retire(&"a", &second, &of_second));
    assert!(tasks.keys().is_empty());
}
