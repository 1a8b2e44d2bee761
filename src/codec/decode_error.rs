//! Why bytes from the upstream could not be understood.
//!
//! An error says what was expected and at which byte, never what stood there: an object can be a
//! Secret. Offsets count from the start of the frame or body handed to the codec. Whoever meets
//! such an error stops serving the resource from memory and forwards; no object is ever guessed.

/// Bytes that the codec does not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a value.
    #[error("ends too early, at byte {at}")]
    Truncated {
        /// Offset of the end.
        at: usize,
    },
    /// Something else stands where the format demands a certain thing.
    #[error("expected {expected} at byte {at}")]
    Expected {
        /// What the format demands.
        expected: &'static str,
        /// Offset of what stands there instead.
        at: usize,
    },
    /// Containers are nested deeper than the scanner follows.
    #[error("nested deeper than {limit} levels at byte {at}")]
    TooDeep {
        /// The greatest depth taken.
        limit: usize,
        /// Offset of the container that is too deep.
        at: usize,
    },
    /// Text that is not UTF-8.
    #[error("invalid UTF-8 at byte {at}")]
    NotUtf8 {
        /// Offset of the first wrong byte.
        at: usize,
    },
    /// A control byte in JSON: the API server escapes them in strings and writes no line breaks.
    #[error("unescaped control byte at byte {at}")]
    ControlByte {
        /// Offset of the byte.
        at: usize,
    },
    /// The value is not of the resource's kind and apiVersion.
    #[error("not an object of the resource's kind and apiVersion, at byte {at}")]
    WrongType {
        /// Offset of the value or of its type.
        at: usize,
    },
    /// A field that every object of the resource has is not there, or empty.
    #[error("{field} is missing from the value that ends at byte {at}")]
    Missing {
        /// Path of the field.
        field: &'static str,
        /// Offset of the end of the value.
        at: usize,
    },
    /// A field that may be there once is there twice.
    #[error("{field} is repeated at byte {at}")]
    Repeated {
        /// Path of the field.
        field: &'static str,
        /// Offset of the repetition.
        at: usize,
    },
    /// One value is larger than offsets inside an object can express.
    #[error("{length} bytes are more than the {limit} that one object can have")]
    TooLarge {
        /// Its length in bytes.
        length: usize,
        /// The greatest length taken.
        limit: usize,
    },
}
