//! The number of a merge of journal objects.

use super::ViewNumber;
use std::fmt;
use std::str::FromStr;

/// Which merge of a journal's objects: a view, and how many attempts the session that made it had made before. A session
/// merges its own journal under the view in which it began. The journal of an ended one is merged by its undertaker, under a
/// view that does not have the ended session and has one undertaker for it. A session counts every attempt; so within a
/// journal no number is given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MergeNumber {
    /// Never negative.
    pub view: ViewNumber,
    /// From 0.
    pub attempt: u32,
}

/// A text that is no [`MergeNumber`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the number of a merge, which is a view and an attempt, such as 7-3")]
pub struct MergeNumberError;

impl fmt::Display for MergeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.view.0, self.attempt)
    }
}

impl FromStr for MergeNumber {
    type Err = MergeNumberError;

    /// Takes what `Display` gives, and nothing else.
    fn from_str(text: &str) -> Result<MergeNumber, MergeNumberError> {
        let (view, attempt) = text.split_once('-').ok_or(MergeNumberError)?;
        let view = ViewNumber(view.parse().map_err(|_| MergeNumberError)?);
        let number = MergeNumber { view, attempt: attempt.parse().map_err(|_| MergeNumberError)? };
        if number.view.0 >= 0 && number.to_string() == text { Ok(number) } else { Err(MergeNumberError) }
    }
}
