//! Label and field selectors.

pub mod field_schema;
