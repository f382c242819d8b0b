//! The integration tests: what holds for the sources, and for the program on damaged and wrong input.
//!
//! What holds for the answers is in `tests/matrix`.

mod damaged;
mod tidy;
