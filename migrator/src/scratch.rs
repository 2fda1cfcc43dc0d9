//! Databases in memory, on which scripts are tried before they run on a real one.

pub(crate) mod desired;
pub(crate) mod preflight;
pub(crate) mod replay;
