//! What an error of a call means for what was asked: it was not done, or nobody knows.
//!
//! Only etcd's own words prove that a request was not done. A gRPC code alone does not: the client library, proxies and
//! HTTP/2 make codes of their own, also after the request was carried out (an answer too long to be decoded is
//! OUT_OF_RANGE, as etcd's own "revision has been compacted" is). So a code counts only with a message that begins
//! `etcdserver: `, and everything else is unknown. Of etcd's messages:
//!
//! | message | when it is said | verdict |
//! | --- | --- | --- |
//! | `no leader` | by the check of our `hasleader` header, before the request is looked at | not done, again elsewhere |
//! | `too many requests` | before the request is proposed to the members | not done, again |
//! | `invalid auth token`, `revision of auth store is old` | when it is checked who asks, before anything is written | not done, again with a new token |
//! | `mvcc: database space exceeded` | by the quota, before it is proposed, or when it would be applied under the alarm | refused |
//! | other INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, FAILED_PRECONDITION, OUT_OF_RANGE, PERMISSION_DENIED, UNAUTHENTICATED, RESOURCE_EXHAUSTED, UNIMPLEMENTED | by a check before it is proposed, or when it would be applied, as a whole | refused |
//! | `request timed out` (also because of a leader lost, or a connection), `leader changed`, `server stopped`, `unhealthy cluster`: all UNAVAILABLE | after it was proposed, perhaps; members may apply it yet | unknown |

use tonic::{Code, Status};

/// What became of a request whose call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was not done and will not be.
    Refused(String),
    /// It was not done, for want of space.
    NoSpace,
    /// It was not done: the revision that it reads is no longer there.
    Compacted,
    /// The answer is longer than is taken. A read may ask for less.
    TooLong,
    /// It was not done; this member may do it a moment later, or another one now.
    NotYet(String),
    /// It was not done; a new connection brings a new token.
    NewToken,
    /// It may have been done, or may be yet.
    Unknown(String),
}

const OWN_WORDS: &str = "etcdserver: ";

/// Reads the error of a call.
pub(super) fn verdict(status: &Status) -> Verdict {
    let message = status.message();
    if was_never_sent(status) {
        return Verdict::NotYet(message.to_owned());
    }
    let Some(words) = message.strip_prefix(OWN_WORDS) else {
        return match status.code() {
            Code::OutOfRange if message.contains("message length too large") => Verdict::TooLong,
            code => Verdict::Unknown(format!("{code:?}: {message}")),
        };
    };
    match words {
        "no leader" | "too many requests" => return Verdict::NotYet(words.to_owned()),
        "invalid auth token" | "revision of auth store is old" => return Verdict::NewToken,
        "mvcc: database space exceeded" => return Verdict::NoSpace,
        "mvcc: required revision has been compacted" => return Verdict::Compacted,
        _ => {}
    }
    match status.code() {
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::ResourceExhausted
        | Code::Unimplemented => Verdict::Refused(words.to_owned()),
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => Verdict::Unknown(words.to_owned()),
    }
}

/// Reads why etcd ended a watch as it was begun, which is a text that has code and message:
/// `rpc error: code = PermissionDenied desc = etcdserver: permission denied`. Only who may not watch is refused for good.
pub(super) fn cancelled(reason: &str) -> Verdict {
    match reason.split_once(OWN_WORDS) {
        Some((_, words @ ("permission denied" | "user name is empty"))) => Verdict::Refused(words.to_owned()),
        Some((_, words)) => Verdict::NotYet(words.to_owned()),
        None => Verdict::Unknown(reason.to_owned()),
    }
}

/// Whether there was no connection on which it could have gone out.
fn was_never_sent(status: &Status) -> bool {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_watch_is_refused_and_what_may_pass_is_not() {
        for (reason, expected) in [
            (
                "rpc error: code = PermissionDenied desc = etcdserver: permission denied",
                Verdict::Refused("permission denied".to_owned()),
            ),
            (
                "rpc error: code = InvalidArgument desc = etcdserver: user name is empty",
                Verdict::Refused("user name is empty".to_owned()),
            ),
            (
                "rpc error: code = Unavailable desc = etcdserver: no leader",
                Verdict::NotYet("no leader".to_owned()),
            ),
            ("something else", Verdict::Unknown("something else".to_owned())),
        ] {
            assert_eq!(cancelled(reason), expected);
        }
    }

    #[test]
    fn only_etcds_own_words_prove_that_nothing_was_done() {
        let of = |code, message: &str| verdict(&Status::new(code, message));
        let refused = |text: &str| Verdict::Refused(text.to_owned());
        let unknown = |text: &str| Verdict::Unknown(text.to_owned());
        let not_yet = |text: &str| Verdict::NotYet(text.to_owned());
        for (code, message, expected) in [
            (Code::Unavailable, "etcdserver: no leader", not_yet("no leader")),
            (Code::ResourceExhausted, "etcdserver: too many requests", not_yet("too many requests")),
            (Code::Unauthenticated, "etcdserver: invalid auth token", Verdict::NewToken),
            (Code::InvalidArgument, "etcdserver: revision of auth store is old", Verdict::NewToken),
            (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded", Verdict::NoSpace),
            (Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted", Verdict::Compacted),
            (Code::NotFound, "etcdserver: requested lease not found", refused("requested lease not found")),
            (Code::PermissionDenied, "etcdserver: permission denied", refused("permission denied")),
            (Code::InvalidArgument, "etcdserver: request is too large", refused("request is too large")),
            (Code::Unavailable, "etcdserver: request timed out", unknown("request timed out")),
            (Code::Unavailable, "etcdserver: leader changed", unknown("leader changed")),
            (Code::Unavailable, "etcdserver: server stopped", unknown("server stopped")),
            (Code::Unknown, "raft proposal dropped", unknown("Unknown: raft proposal dropped")),
            (Code::PermissionDenied, "a proxy says no", unknown("PermissionDenied: a proxy says no")),
            (Code::ResourceExhausted, "h2: calm down", unknown("ResourceExhausted: h2: calm down")),
            (
                Code::OutOfRange,
                "Error, decoded message length too large: found 5000000 bytes, the limit is: 4194304 bytes",
                Verdict::TooLong,
            ),
        ] {
            assert_eq!(of(code, message), expected, "{message}");
        }
    }
}
