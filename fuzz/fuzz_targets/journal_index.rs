//! The target `journal_index` of `cenote::fuzzing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cenote_fuzz::feed("journal_index", bytes));
