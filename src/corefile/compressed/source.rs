//! The input of the decoders: a buffered stream of which the next bytes can be looked at.
//!
//! Knows reading; refuses to know formats. An error of the system is kept as a fact, and the stream ends there: what came
//! before it is good.

use std::io::{self, BufRead, Read};

/// Bytes read at a time.
const CHUNK: usize = 256 << 10;

/// A buffered input.
pub(super) struct Source<R> {
    input: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    consumed: u64,
    ended: bool,
    failure: Option<io::Error>,
}

impl<R: Read> Source<R> {
    pub(super) fn new(input: R) -> Source<R> {
        let buffer = vec![0; CHUNK].into_boxed_slice();
        Source { input, buffer, start: 0, end: 0, consumed: 0, ended: false, failure: None }
    }

    /// Bytes taken out of the stream so far.
    pub(super) fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Why the input could not be read to its end.
    pub(super) fn failure(&self) -> Option<String> {
        self.failure.as_ref().map(|error| format!("it cannot be read further: {error}"))
    }

    /// The next bytes: none only at the end.
    pub(super) fn fill(&mut self) -> &[u8] {
        self.peek(1)
    }

    /// The next bytes, `least` of them if the stream has as many.
    pub(super) fn peek(&mut self, least: usize) -> &[u8] {
        if self.end - self.start < least {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        while self.end - self.start < least && !self.ended {
            match self.input.read(self.buffer.get_mut(self.end..).unwrap_or_default()) {
                Ok(0) => self.ended = true,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = true;
                    self.failure = Some(error);
                }
            }
        }
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Takes bytes that were looked at out of the stream.
    pub(super) fn advance(&mut self, count: usize) {
        let count = count.min(self.end - self.start);
        self.start += count;
        self.consumed += count as u64;
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let count = self.fill().read(target)?;
        self.advance(count);
        Ok(count)
    }
}

impl<R: Read> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.fill())
    }

    fn consume(&mut self, count: usize) {
        self.advance(count);
    }
}
