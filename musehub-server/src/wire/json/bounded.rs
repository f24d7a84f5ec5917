//! A body of which no more can be in memory than may be: no string is too long, which a decoder holds whole, and what is
//! neither staged nor passed over is counted.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// How many bytes of a body may still be read before more of them are given back.
#[derive(Clone, Debug)]
pub(super) struct Allowance(Rc<Cell<u64>>);

impl Allowance {
    pub(super) fn new(bytes: u64) -> Self {
        Self(Rc::new(Cell::new(bytes)))
    }

    /// Bytes that are in memory no longer.
    pub(super) fn give_back(&self, bytes: u64) {
        self.0.set(self.0.get().saturating_add(bytes));
    }

    fn take(&self, bytes: u64) -> io::Result<()> {
        let left = self.0.get().checked_sub(bytes);
        self.0.set(left.ok_or_else(|| too_large("more records than one push may have".to_owned()))?);
        Ok(())
    }
}

fn too_large(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, reason)
}

/// A reader of JSON that fails in the middle of a string of more than `limit` bytes, as it is written, and where the
/// allowance ends.
#[derive(Debug)]
pub(super) struct Bounded<R> {
    inner: R,
    allowance: Allowance,
    limit: u64,
    /// How much of a string was read; none outside of one.
    length: Option<u64>,
    escaped: bool,
}

impl<R> Bounded<R> {
    pub(super) const fn new(inner: R, allowance: Allowance, limit: u64) -> Self {
        Self { inner, allowance, limit, length: None, escaped: false }
    }

    /// Follows bytes that were read.
    fn follow(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let Some(length) = &mut self.length else {
                let Some(quote) = bytes.iter().position(|b| *b == b'"') else { return Ok(()) };
                (self.length, self.escaped) = (Some(0), false);
                bytes = &bytes[quote + 1..];
                continue;
            };
            if self.escaped {
                self.escaped = false;
                *length += 1;
                bytes = &bytes[1..];
                continue;
            }
            let end = bytes.iter().position(|b| matches!(b, b'"' | b'\\'));
            *length += end.unwrap_or(bytes.len()) as u64;
            if *length > self.limit {
                return Err(too_large(format!("a text of more than {} bytes", self.limit)));
            }
            let Some(end) = end else { return Ok(()) };
            match bytes[end] {
                b'"' => self.length = None,
                _ => {
                    *length += 1;
                    self.escaped = true;
                }
            }
            bytes = &bytes[end + 1..];
        }
        Ok(())
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.allowance.take(read as u64)?;
        self.follow(&buffer[..read])?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads in pieces of every size.
    fn passes(json: &str, limit: u64) -> bool {
        let results: Vec<bool> = (1..=json.len() + 1)
            .map(|size| {
                let mut reader = Bounded::new(json.as_bytes(), Allowance::new(u64::MAX), limit);
                let mut piece = vec![0; size];
                loop {
                    match reader.read(&mut piece) {
                        Ok(0) => return true,
                        Ok(_) => {}
                        Err(error) => {
                            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
                            return false;
                        }
                    }
                }
            })
            .collect();
        assert!(results.iter().all(|result| *result == results[0]), "{json}: {results:?}");
        results[0]
    }

    #[test]
    fn only_the_length_of_single_strings_counts() {
        assert!(passes(r#"{"aaaa": ["bbbb", 123456789, "cccc"], "": {"dddd": null}}"#, 4));
        assert!(!passes(r#"{"aaaa": ["bbbbb"]}"#, 4));
        assert!(!passes(r#"{"aaaaa": 1}"#, 4));
        assert!(passes("[123456789123456789]", 2));
    }

    #[test]
    fn escapes_do_not_end_a_string() {
        assert!(passes(r#"["\"\"", "a"]"#, 4));
        assert!(!passes(r#"["\"\"\"", "a"]"#, 4));
        assert!(passes(r#"["\\", "bbbb"]"#, 4));
        assert!(!passes(r#"["\\\\\\"]"#, 4));
    }

    #[test]
    fn what_is_given_back_may_be_read_again() {
        let allowance = Allowance::new(10);
        let mut reader = Bounded::new(io::repeat(b' '), allowance.clone(), 1);
        let mut read = |bytes: usize| reader.read(&mut vec![0; bytes]).map(|read| read == bytes);
        assert!(read(10).unwrap());
        assert_eq!(read(1).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        allowance.give_back(5);
        assert!(read(5).unwrap());
        assert!(read(1).is_err());
    }
}
