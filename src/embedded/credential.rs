//! The one bearer token that the store accepts. It is never printed.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::Zeroizing;

/// The one accepted bearer token.
pub(super) struct Credential(Zeroizing<String>);

/// How a request presents itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presented {
    /// The right token.
    Valid,
    /// No `Authorization` header.
    Nothing,
    /// Anything else.
    Invalid,
}

// === impl Credential ===

impl Credential {
    pub(super) const fn new(token: Zeroizing<String>) -> Self {
        Self(token)
    }

    /// Whether `token` is the accepted one, in time independent of where it differs.
    pub(super) fn is(&self, token: &[u8]) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), token).is_ok()
    }

    /// Judges the request's `Authorization` header.
    pub(super) fn judge(&self, headers: &http::HeaderMap) -> Presented {
        let Some(header) = headers.get(http::header::AUTHORIZATION) else {
            return Presented::Nothing;
        };
        let bytes = header.as_bytes();
        let valid = bytes.split_at_checked("Bearer ".len()).is_some_and(|(scheme, token)| {
            scheme.eq_ignore_ascii_case(b"bearer ") && self.is(token.trim_ascii())
        });
        if valid { Presented::Valid } else { Presented::Invalid }
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(…)")
    }
}
