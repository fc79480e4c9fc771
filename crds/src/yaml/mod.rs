//! YAML as manifests use it: read into a tree that knows its lines, and written.
//!
//! Read as kubectl reads it, YAML 1.1's words for booleans and all, so that a file means the same to both.

mod emit;
mod scalar;
mod tree;

#[cfg(test)]
mod tests;

pub use emit::emit;
pub(crate) use tree::{Content, Field, Node, parse, plain};
pub use tree::{SyntaxError, read};
