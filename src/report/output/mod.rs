//! The report as text, JSON or a page.

pub mod html;
pub mod html_escape;
pub mod json;
mod plot;
pub mod text;
mod wording;
