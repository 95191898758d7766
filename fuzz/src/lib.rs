//! What every target does: feeds its bytes, and sees that no more memory was reserved than they are worth.

use cenote::fuzzing::Target;

/// Feeds the target of that name.
///
/// # Panics
/// If a promise is broken.
pub fn feed(name: &str, bytes: &[u8]) {
    let target = Target::named(name).expect("the main package has it");
    let reserved = allocation_counter::measure(|| target.feed(bytes)).bytes_max;
    let memory_max = target.memory_max(bytes.len());
    assert!(reserved <= memory_max as u64, "{reserved} bytes were reserved, at most {memory_max} may be");
}
