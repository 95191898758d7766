//! What is left when all was over: every reference resolves, and little is left that nothing refers to.

use super::history::Fact;
use super::seen::Seen;
use super::{Anomaly, Found};

pub fn check(seen: &Seen<'_>, found: &mut Found) {
    for &(moment, fact) in &seen.facts {
        let Fact::Fsck { problems, unreferenced_bytes, allowed_bytes } = fact else { continue };
        for problem in problems {
            found.add(Anomaly::FsckProblem, [moment], problem);
        }
        if unreferenced_bytes > allowed_bytes {
            let what = format!("{unreferenced_bytes} bytes, {allowed_bytes} may be");
            found.add(Anomaly::LeftBehind, [moment], what);
        }
    }
}
