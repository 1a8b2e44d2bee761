//! Towards the authoritative store.
