//! What ends a session, and what comes after it.

use super::*;
use crate::config::{Flags, resolve};

#[tokio::test]
async fn a_session_whose_archiver_fails_is_followed_by_another() {
    let mut config = resolve(&Flags::default(), &|_| None).expect("the defaults are legal").0;
    config.store = "memory:".parse().expect("a URL");
    config.cache.disk_bytes = 0;
    let metrics = Arc::new(Metrics::new());
    let foundation = Foundation::open(Arc::new(config), Vec::new(), metrics, Clock::System, None).await;
    let mut broker = Broker::start(foundation.expect("in memory")).await.expect("starts");
    let (handler, archive) = (broker.handler(), broker.session.archive.clone());
    assert_eq!(handler.context().leadership.image().number().0, 1);
    let next = async {
        archive.panic().await;
        while handler.context().leadership.image().number().0 == 1 {
            tokio::task::yield_now().await;
        }
    };
    let next = tokio::time::timeout(Duration::from_secs(60), next);
    let readiness = Readiness::not_ready("starting");
    tokio::select! {
        next = next => next.expect("another session begins"),
        error = broker.run(&readiness) => panic!("{error}"),
    }
    assert_eq!(handler.context().leadership.image().number().0, 2);
    broker.close().await;
}
