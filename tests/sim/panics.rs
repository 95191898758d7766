//! What panics while a seed runs, also where a runtime catches it.

use std::cell::RefCell;
use std::panic::{set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static SAID: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// From now on this thread's panics are kept.
pub fn begin() {
    HOOK.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |info| {
            let kept = SAID.with_borrow_mut(|said| said.as_mut().map(|said| said.push(info.to_string())));
            if kept.is_none() {
                usual(info);
            }
        }));
    });
    SAID.set(Some(Vec::new()));
}

/// What they said.
pub fn end() -> Option<String> {
    SAID.take().filter(|said| !said.is_empty()).map(|said| said.join("; "))
}
