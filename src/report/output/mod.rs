//! From figures to what is shown: text, JSON, a page.

pub mod html;
pub mod inert;
pub mod json;
mod plot;
pub mod text;
mod wording;
