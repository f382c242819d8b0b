//! Tests of the program from outside (its command line, its documents, its messages, what it makes of damaged and wrong
//! input), and of the sources themselves.
//!
//! What holds for the answers is in `tests/matrix`.

mod aarch64;
mod cli;
mod damaged;
mod layouts;
#[path = "../common/questions.rs"]
mod questions;
mod readme;
mod tidy;
