//! From events to figures, in memory that does not grow with the log.

pub mod false_positives;
pub mod figures;
pub mod histogram;
pub mod network;
pub mod occupancy;
pub mod summary;
pub mod top;
pub mod what_if;
