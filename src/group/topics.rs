//! The topics as groups see them: names, ids and how many partitions.

use super::consumer::{TopicSize, TopicsImage};
use crate::topic::Catalog;
use std::sync::Arc;
use tokio::sync::watch;

/// Follows the catalogue: what groups look at, and the task that keeps it fresh, which ends with the catalogue.
pub(super) fn watch_topics(
    catalog: &Arc<Catalog>,
) -> (watch::Receiver<Arc<TopicsImage>>, impl Future<Output = ()> + Send + 'static) {
    let mut changes = catalog.changes();
    let (sender, receiver) = watch::channel(Arc::new(image(catalog)));
    let catalog = Arc::downgrade(catalog);
    let follow = async move {
        while changes.changed().await.is_ok() {
            let Some(catalog) = catalog.upgrade() else { return };
            sender.send_replace(Arc::new(image(&catalog)));
        }
    };
    (receiver, follow)
}

fn image(catalog: &Catalog) -> TopicsImage {
    let sized = catalog
        .all()
        .into_iter()
        .map(|topic| (topic.name.clone(), TopicSize { topic_id: topic.id, partitions: topic.partitions }));
    sized.collect()
}
