//! The entries of a tar archive that lies in memory.
//!
//! Knows the header of POSIX.1-1988 (ustar), pax records of POSIX.1-2001 and the long names of GNU tar; refuses to know what
//! the entries are for, and files with holes (their content is not one range of the archive). Nothing is copied but names.

use std::ops::Range;

/// Size of a header, and unit of everything in an archive.
const BLOCK: usize = 512;
/// Longest name or set of pax records that is read; paths of Linux have at most 4096 bytes.
const LONGEST: usize = 64 << 10;
/// More entries than any image has.
const MOST_ENTRIES: usize = 4 << 20;

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A regular file, whose content is that range of the archive.
    File(Range<usize>),
    Directory,
    /// A symbolic link to this.
    Link(String),
    /// Another name of the file of that name.
    HardLink(String),
    /// A device, a pipe, a file with holes.
    Other,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The name as it is stored: it may begin with `/` or `./`.
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// What comes before a header and replaces something in it.
#[derive(Default)]
struct Extended {
    name: Option<String>,
    link: Option<String>,
    size: Option<u64>,
    sparse: bool,
}

/// The entries of an archive, in order. Ends at the first header that is none.
pub(super) struct TarReader<'a> {
    bytes: &'a [u8],
    at: usize,
    left: usize,
}

impl<'a> TarReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> TarReader<'a> {
        TarReader { bytes, at: 0, left: MOST_ENTRIES }
    }

    /// Whether these bytes begin with a header.
    pub(super) fn is_tar(bytes: &[u8]) -> bool {
        bytes.first_chunk::<BLOCK>().is_some_and(is_header)
    }
}

impl Iterator for TarReader<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let mut extended = Extended::default();
        loop {
            self.left = self.left.checked_sub(1)?;
            let header = self.bytes.get(self.at..)?.first_chunk::<BLOCK>()?;
            if !is_header(header) {
                return None;
            }
            let kind = header[156];
            let start = self.content_start(header)?;
            let size = extended
                .size
                .take()
                .filter(|_| !is_extension(kind))
                .or_else(|| number(field(header, 124, 12)))?;
            let end = start.checked_add(usize::try_from(size).ok()?)?;
            let content = self.bytes.get(start..end)?;
            self.at = end.checked_next_multiple_of(BLOCK)?;
            match kind {
                b'L' => extended.name = short(content).map(text),
                b'K' => extended.link = short(content).map(text),
                b'x' => pax(short(content).unwrap_or_default(), &mut extended),
                b'g' => {}
                _ => return Some(entry(header, start..end, extended)),
            }
        }
    }
}

impl TarReader<'_> {
    /// Where an entry's content begins: behind the header and the maps of holes that GNU tar puts there.
    fn content_start(&self, header: &[u8; BLOCK]) -> Option<usize> {
        let mut start = self.at.checked_add(BLOCK)?;
        let mut more = header[156] == b'S' && header[482] != 0;
        while more {
            let map = self.bytes.get(start..)?.first_chunk::<BLOCK>()?;
            more = map[504] != 0;
            start += BLOCK;
        }
        Some(start)
    }
}

fn is_extension(kind: u8) -> bool {
    matches!(kind, b'L' | b'K' | b'x' | b'g')
}

fn entry(header: &[u8; BLOCK], content: Range<usize>, extended: Extended) -> Entry {
    let name = extended.name.unwrap_or_else(|| ustar_name(header));
    let link = || extended.link.clone().unwrap_or_else(|| text(field(header, 157, 100)));
    let kind = match header[156] {
        _ if extended.sparse => Kind::Other,
        b'0' | 0 | b'7' if name.ends_with('/') => Kind::Directory,
        b'0' | 0 | b'7' => Kind::File(content),
        b'1' => Kind::HardLink(link()),
        b'2' => Kind::Link(link()),
        b'5' => Kind::Directory,
        _ => Kind::Other,
    };
    Entry { name, kind }
}

/// The name in a header: POSIX has a prefix for long ones, where GNU tar keeps something else.
fn ustar_name(header: &[u8; BLOCK]) -> String {
    let name = text(field(header, 0, 100));
    let prefix = text(field(header, 345, 155));
    match field(header, 257, 6) == b"ustar\0" && !prefix.is_empty() {
        true => format!("{prefix}/{name}"),
        false => name,
    }
}

fn field(header: &[u8; BLOCK], start: usize, length: usize) -> &[u8] {
    header.get(start..start + length).unwrap_or_default()
}

/// Text up to the first zero.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

fn short(content: &[u8]) -> Option<&[u8]> {
    (content.len() <= LONGEST).then_some(content)
}

/// Octal digits, or, as GNU tar writes large numbers, a binary number behind a byte of 0x80.
fn number(bytes: &[u8]) -> Option<u64> {
    match bytes.split_first()? {
        (0x80, rest) => {
            let (high, low) = rest.split_at_checked(rest.len().checked_sub(8)?)?;
            high.iter()
                .all(|&byte| byte == 0)
                .then(|| low.first_chunk().map(|low| u64::from_be_bytes(*low)))?
        }
        _ => {
            let digits = text(bytes);
            let digits = digits.trim();
            if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
        }
    }
}

/// Whether a block's sum is the one it states: the sum of its bytes, those of the sum itself counted as spaces.
fn is_header(header: &[u8; BLOCK]) -> bool {
    let sum: u64 = header.iter().map(|&byte| u64::from(byte)).sum();
    let own: u64 = field(header, 148, 8).iter().map(|&byte| u64::from(byte)).sum();
    sum > own && number(field(header, 148, 8)) == Some(sum - own + 8 * u64::from(b' '))
}

/// Records of `LENGTH KEY=VALUE\n`.
fn pax(mut records: &[u8], extended: &mut Extended) {
    while let Some(space) = records.iter().position(|&byte| byte == b' ') {
        let length = std::str::from_utf8(records.get(..space).unwrap_or_default()).ok();
        let length: Option<usize> = length.and_then(|length| length.parse().ok());
        let Some((record, rest)) = length.and_then(|length| records.split_at_checked(length)) else { return };
        let Some(record) = record.get(space + 1..).and_then(|record| record.strip_suffix(b"\n")) else {
            return;
        };
        let Some(equals) = record.iter().position(|&byte| byte == b'=') else { return };
        let (key, value) = record.split_at(equals);
        let value = text(value.get(1..).unwrap_or_default());
        match key {
            b"path" => extended.name = Some(value),
            b"linkpath" => extended.link = Some(value),
            b"size" => extended.size = value.parse().ok(),
            key if key.starts_with(b"GNU.sparse.") => extended.sparse = true,
            _ => {}
        }
        records = rest;
    }
}
