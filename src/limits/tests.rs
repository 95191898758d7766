use super::Purpose::{Other, Write};
use super::*;
use futures_util::FutureExt;

#[tokio::test]
async fn what_is_reserved_comes_back_when_dropped() {
    let budget = MemoryBudget::new(10 * 1024);
    let permit = budget.reserve(4 * 1024, Other).await;
    assert_eq!(budget.free_bytes(), 6 * 1024);
    drop(permit);
    assert_eq!(budget.free_bytes(), budget.total_bytes());
}

#[tokio::test]
async fn over_the_budget_one_waits_and_the_first_to_ask_is_first_served() {
    let budget = MemoryBudget::new(4 * 1024);
    let held = budget.reserve(3 * 1024, Other).await;
    let mut big = Box::pin(budget.reserve(4 * 1024, Other));
    assert!(big.as_mut().now_or_never().is_none());
    assert!(budget.try_reserve(1024, Other).is_none(), "a small one must not overtake the big one");
    drop(held);
    let big = big.now_or_never().expect("all is free");
    assert_eq!(budget.free_bytes(), 0);
    drop(big);
}

#[tokio::test]
async fn more_than_the_whole_budget_is_the_whole_budget() {
    let budget = MemoryBudget::new(1024);
    let _all = budget.reserve(usize::MAX, Other).await;
    assert_eq!(budget.free_bytes(), 0);
}

#[tokio::test]
async fn writes_leave_an_eighth_to_everything_else() {
    let budget = MemoryBudget::new(8 * 1024);
    let writes = budget.reserve(usize::MAX, Write).await;
    assert_eq!(budget.free_bytes(), 1024);
    let mut another = Box::pin(budget.reserve(1024, Write));
    assert!(another.as_mut().now_or_never().is_none());
    assert!(budget.try_reserve(1, Write).is_none());
    let other = budget.try_reserve(1024, Other).expect("a waiting write holds up nothing else");
    drop(writes);
    let _another = another.now_or_never().expect("there is room for it");
    drop(other);
}
