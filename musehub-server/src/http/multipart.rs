//! Bodies of `multipart/form-data` (RFC 7578), read part by part from a reader that blocks. Whatever the parts are like, no
//! more than the heads of one and a few pieces of its content is in memory.

use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;

use super::{ApiError, Pieces};

/// The longest boundary, by RFC 2046.
const MAX_BOUNDARY: usize = 70;
/// The longest heads of a part, and what may come before the first one, in bytes.
const MAX_HEAD: usize = 16 << 10;
/// How much of a content is read at a time.
const PIECE: usize = 64 << 10;

/// The parts of a body.
#[derive(Debug)]
pub struct Multipart<'r, R> {
    reader: &'r mut R,
    /// What ends a content: a line break, two dashes and the boundary.
    delimiter: Finder<'static>,
    /// What was read and not given out.
    held: BytesMut,
    /// Whether the first delimiter was passed.
    begun: bool,
    /// Whether a part was begun and its content not read to the end.
    inside: bool,
    ended: bool,
}

impl<'r, R: Pieces> Multipart<'r, R> {
    /// The parts of a body, by the `Content-Type` of the request; none where that is another one.
    ///
    /// # Errors
    /// 400 where it names no valid boundary.
    pub fn of(content_type: &str, reader: &'r mut R) -> Result<Option<Self>, ApiError> {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("multipart/form-data") {
            return Ok(None);
        }
        let boundary = parameter(content_type, "boundary").unwrap_or_default();
        let sane = |b: u8| b.is_ascii_graphic() || b == b' ';
        if boundary.is_empty() || boundary.len() > MAX_BOUNDARY || !boundary.bytes().all(sane) {
            return Err(ApiError::undecodable("the content type names no boundary of parts"));
        }
        let delimiter = Finder::new(format!("\r\n--{boundary}").as_bytes()).into_owned();
        // The first delimiter needs no line break before it.
        let held = BytesMut::from(&b"\r\n"[..]);
        Ok(Some(Self { reader, delimiter, held, begun: false, inside: false, ended: false }))
    }

    /// Begins the next part and gives its name; what is left of the one before is passed over. None at the end.
    ///
    /// # Errors
    /// 400 where the body is no such form or ends early.
    pub fn next_part(&mut self) -> Result<Option<String>, ApiError> {
        if self.ended {
            return Ok(None);
        }
        if !self.begun {
            self.pass_preamble()?;
            self.begun = true;
        }
        while self.next_piece()?.is_some() {}
        while self.held.len() < 2 {
            self.read()?;
        }
        if self.held.starts_with(b"--") {
            self.ended = true;
            return Ok(None);
        }
        let heads = self.take_heads()?;
        self.inside = true;
        name_of(&heads).map(Some)
    }

    /// The next piece of the content of the current part, not empty; none at its end.
    ///
    /// # Errors
    /// 400 where the body ends early.
    pub fn next_piece(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            if !self.inside {
                return Ok(None);
            }
            if let Some(end) = self.delimiter.find(&self.held) {
                if end > 0 {
                    return Ok(Some(self.held.split_to(end).freeze()));
                }
                let _ = self.held.split_to(self.delimiter.needle().len());
                self.inside = false;
                continue;
            }
            // All but what could be the beginning of the delimiter.
            let sure = (self.held.len() + 1).saturating_sub(self.delimiter.needle().len());
            if sure > 0 {
                return Ok(Some(self.held.split_to(sure).freeze()));
            }
            self.read()?;
        }
    }

    /// Passes over what stands before the first part.
    fn pass_preamble(&mut self) -> Result<(), ApiError> {
        loop {
            if let Some(end) = self.delimiter.find(&self.held) {
                let _ = self.held.split_to(end + self.delimiter.needle().len());
                return Ok(());
            }
            self.require_short()?;
            self.read()?;
        }
    }

    /// The heads of a part, from the end of the delimiter to the empty line.
    fn take_heads(&mut self) -> Result<Bytes, ApiError> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.held, b"\r\n\r\n") {
                return Ok(self.held.split_to(end + 4).freeze());
            }
            self.require_short()?;
            self.read()?;
        }
    }

    fn require_short(&self) -> Result<(), ApiError> {
        if self.held.len() <= MAX_HEAD {
            return Ok(());
        }
        Err(ApiError::undecodable(format!("the heads of a part have more than {MAX_HEAD} bytes")))
    }

    fn read(&mut self) -> Result<(), ApiError> {
        let ended = || ApiError::undecodable("the form ended early");
        let piece = self.reader.next_piece(PIECE).map_err(|_| ended())?.ok_or_else(ended)?;
        self.held.extend_from_slice(&piece);
        Ok(())
    }
}

/// The name of a part by its heads.
fn name_of(heads: &[u8]) -> Result<String, ApiError> {
    let heads =
        std::str::from_utf8(heads).map_err(|_| ApiError::undecodable("a part's heads are no UTF-8"))?;
    let disposition = heads.split("\r\n").filter_map(|line| line.split_once(':'));
    let disposition =
        disposition.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("content-disposition"));
    disposition
        .and_then(|(_, value)| parameter(value, "name"))
        .ok_or_else(|| ApiError::undecodable("a part has no name"))
}

/// A parameter of a head's value: `value; key=token; key="text"`.
fn parameter(value: &str, wanted: &str) -> Option<String> {
    let mut rest = value.split_once(';')?.1;
    loop {
        let (key, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (text, next) = match after.strip_prefix('"') {
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
            Some(quoted) => unquote(quoted)?,
        };
        if key.trim().eq_ignore_ascii_case(wanted) {
            return Some(text);
        }
        rest = next.split_once(';')?.1;
    }
}

/// A text up to its closing quotation mark, and what follows; a back-slash makes the next character an ordinary one.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((text, &quoted[at + 1..])),
            '\\' => text.push(characters.next()?.1),
            other => text.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read};

    use super::*;

    /// A body that comes in pieces of some bytes.
    struct InPieces<'a>(&'a [u8], usize);

    impl Read for InPieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Pieces for InPieces<'_> {
        fn next_piece(&mut self, most: usize) -> io::Result<Option<Bytes>> {
            let (piece, rest) = self.0.split_at(self.0.len().min(most).min(self.1));
            self.0 = rest;
            Ok((!piece.is_empty()).then(|| Bytes::copy_from_slice(piece)))
        }
    }

    fn read(content_type: &str, body: &[u8], size: usize) -> Result<Vec<(String, Vec<u8>)>, ApiError> {
        let mut reader = InPieces(body, size);
        let mut form = Multipart::of(content_type, &mut reader)?.expect("a form");
        let mut parts = Vec::new();
        while let Some(name) = form.next_part()? {
            let mut content = Vec::new();
            while let Some(piece) = form.next_piece()? {
                assert!(!piece.is_empty());
                content.extend_from_slice(&piece);
            }
            assert!(form.next_piece()?.is_none());
            parts.push((name, content));
        }
        assert!(form.next_part()?.is_none());
        Ok(parts)
    }

    const BODY: &[u8] = b"preamble\r\n--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n--XX\r\n\
        content-type: text/plain\r\nCONTENT-DISPOSITION: form-data; filename=\"na;me=\\\"q\\\".txt\"; name=b\r\n\r\n\
        \r\n--X\r\n--\r\n\r\n--XX  \r\nContent-Disposition:form-data;name=\"c \\\"d\\\\\"\r\n\r\nlast\r\n\r\n--XX--\r\nepilogue";

    #[test]
    fn parts_come_whole_however_the_body_is_cut() {
        for size in 1..BODY.len() {
            for content_type in
                ["multipart/form-data; boundary=XX", "Multipart/Form-Data;charset=utf-8; Boundary=\"XX\""]
            {
                let parts = read(content_type, BODY, size).unwrap();
                let expected = [
                    ("a".to_owned(), b"".to_vec()),
                    ("b".to_owned(), b"\r\n--X\r\n--\r\n".to_vec()),
                    ("c \"d\\".to_owned(), b"last\r\n".to_vec()),
                ];
                assert_eq!(parts, expected, "{size}");
            }
        }
    }

    #[test]
    fn a_part_can_be_left_unread() {
        let mut reader = InPieces(BODY, 3);
        let mut form = Multipart::of("multipart/form-data; boundary=XX", &mut reader).unwrap().unwrap();
        let names: Vec<String> = std::iter::from_fn(|| form.next_part().unwrap()).collect();
        assert_eq!(names, ["a", "b", "c \"d\\"]);
    }

    #[test]
    fn what_is_no_form_or_ends_early_is_refused() {
        let form = "multipart/form-data; boundary=XX";
        let end = BODY.len() - b"--\r\nepilogue".len();
        for cut in 0..=end {
            assert_eq!(read(form, &BODY[..cut], 7).unwrap_err().code, "undecodable", "{cut}");
        }
        let nameless = b"--XX\r\nContent-Disposition: form-data\r\n\r\n\r\n--XX--";
        let endless = [b"--XX\r\n".to_vec(), vec![b'a'; 20 << 10]].concat();
        let preamble = vec![b'a'; 20 << 10];
        for body in [&b""[..], b"--YY--", nameless, &endless, &preamble] {
            assert_eq!(read(form, body, 1000).unwrap_err().code, "undecodable");
        }
        for bad in
            ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\"a"]
        {
            assert!(Multipart::of(bad, &mut InPieces(BODY, 9)).is_err());
        }
        let long = format!("multipart/form-data; boundary={}", "b".repeat(71));
        assert!(Multipart::of(&long, &mut InPieces(BODY, 9)).is_err());
        assert!(Multipart::of("application/json", &mut InPieces(BODY, 9)).unwrap().is_none());
    }

    #[test]
    fn no_more_than_a_few_pieces_are_held() {
        let mut body = b"--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n".to_vec();
        body.extend(std::iter::repeat_n(b'\r', 1 << 20));
        body.extend(b"\r\n--XX--");
        let mut reader = InPieces(&body, usize::MAX);
        let mut form = Multipart::of("multipart/form-data; boundary=XX", &mut reader).unwrap().unwrap();
        form.next_part().unwrap();
        let mut size = 0;
        while let Some(piece) = form.next_piece().unwrap() {
            assert!(piece.len() <= PIECE + MAX_HEAD && form.held.len() <= PIECE);
            size += piece.len();
        }
        assert_eq!(size, 1 << 20);
    }
}
