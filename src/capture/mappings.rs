//! `/proc/PID/maps` and `/proc/PID/smaps` as values. Knows their text (Linux, fs/proc/task_mmu.c); refuses to know what the
//! memory is for and to read any of it.

use goblin::elf::program_header::{PF_R, PF_W, PF_X};

/// What the kernel writes for a line end in a path; nothing else is escaped (fs/seq_file.c, `seq_path`).
const ESCAPED_NEWLINE: &[u8] = b"\\012";
/// What the kernel appends to the path of a file without a name.
const DELETED: &[u8] = b" (deleted)";

/// One line of `maps`: a range of memory with one origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) start: u64,
    /// First address after it.
    pub(super) end: u64,
    /// `PF_*`.
    pub(super) flags: u32,
    pub(super) shared: bool,
    /// Byte offset in the file.
    pub(super) offset: u64,
    /// Major and minor number of the file's device, as written.
    pub(super) device: Vec<u8>,
    /// 0 where there is no file.
    pub(super) inode: u64,
    /// Path of the file, or the kernel's name for the range in brackets; may be empty.
    pub(super) path: Vec<u8>,
}

impl Mapping {
    pub(super) fn len(&self) -> u64 {
        self.end - self.start
    }

    /// Whether a file, of whatever kind, lies behind it.
    pub(super) fn has_file(&self) -> bool {
        self.inode != 0 || self.path.starts_with(b"/")
    }

    pub(super) fn is_writable(&self) -> bool {
        self.flags & PF_W != 0
    }

    pub(super) fn is_readable(&self) -> bool {
        self.flags & PF_R != 0
    }

    /// Whether its file has lost its name, as memory shared between processes has from the start.
    pub(super) fn is_deleted(&self) -> bool {
        self.path.ends_with(DELETED)
    }

    /// Whether it is a range that only the kernel has use for. Its pages cannot be read, or are not the process' own.
    pub(super) fn is_of_kernel(&self) -> bool {
        [&b"[vvar]"[..], b"[vvar_vclock]", b"[vsyscall]", b"[uprobes]", b"anon_inode:"]
            .iter()
            .any(|name| self.path.starts_with(name))
    }

    /// Whether it is the memory of a device. Reading that may do anything.
    pub(super) fn is_of_device(&self) -> bool {
        let memory = [&b"/dev/zero"[..], b"/dev/shm/"].iter().any(|name| self.path.starts_with(name));
        self.path.starts_with(b"/dev/") && !memory
    }
}

/// What `smaps` adds to a line of `maps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Details {
    pub(super) mapping: Mapping,
    /// Bytes that the process has for itself: private, and written to.
    pub(super) anonymous: u64,
    /// Bytes in memory or swapped out, of whatever kind.
    pub(super) resident: u64,
    /// The process asked that cores leave it out (`MADV_DONTDUMP`), or the kernel does (`VM_IO`, `VM_PFNMAP`).
    pub(super) left_out: bool,
}

/// Reads all lines of `maps`; the first line that is none of its kind is the error.
pub(super) fn parse_maps(text: &[u8]) -> Result<Vec<Mapping>, String> {
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| mapping(line).ok_or_else(|| String::from_utf8_lossy(line).into_owned())).collect()
}

/// Reads `smaps`. Lines that are not understood are passed over: newer kernels have more of them.
pub(super) fn parse_smaps(text: &[u8]) -> Vec<Details> {
    let mut found: Vec<Details> = Vec::new();
    for line in text.split(|&byte| byte == b'\n') {
        if let Some((key, value)) = field(line) {
            let Some(last) = found.last_mut() else { continue };
            match key {
                b"Anonymous" => last.anonymous = kibibytes(value),
                b"Rss" | b"Swap" => last.resident = last.resident.saturating_add(kibibytes(value)),
                b"VmFlags" => {
                    let mut words = value.split(|&byte| byte == b' ');
                    last.left_out = words.any(|word| matches!(word, b"dd" | b"io" | b"pf"));
                }
                _ => {}
            }
        } else if let Some(mapping) = mapping(line) {
            found.push(Details { mapping, anonymous: 0, resident: 0, left_out: false });
        }
    }
    found
}

/// `Key:   value`. A line of `maps` begins with an address, which ends in no colon.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (key, value) = (line.get(..colon)?, line.get(colon + 1..)?);
    let word = !key.is_empty() && key.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    word.then(|| (key, value.trim_ascii()))
}

/// `12 kB`. What cannot be read counts as much: it is looked at more closely then.
fn kibibytes(value: &[u8]) -> u64 {
    let digits = value.split(|&byte| byte == b' ').next().unwrap_or_default();
    number(digits, 10).and_then(|number| number.checked_mul(1024)).unwrap_or(u64::MAX)
}

fn number(digits: &[u8], radix: u32) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
}

/// `start-end rwxp offset major:minor inode      path`.
fn mapping(line: &[u8]) -> Option<Mapping> {
    let (range, rest) = word(line)?;
    let (permissions, rest) = word(rest)?;
    let (offset, rest) = word(rest)?;
    let (device, rest) = word(rest)?;
    let (inode, rest) = word(rest)?;
    let dash = range.iter().position(|&byte| byte == b'-')?;
    let (start, end) = (number(range.get(..dash)?, 16)?, number(range.get(dash + 1..)?, 16)?);
    let &[read, write, execute, sharing] = permissions else { return None };
    let flag = |letter: u8, flag: u32| if letter == b'-' { 0 } else { flag };
    (start < end).then_some(Mapping {
        start,
        end,
        flags: flag(read, PF_R) | flag(write, PF_W) | flag(execute, PF_X),
        shared: sharing == b's',
        offset: number(offset, 16)?,
        device: device.to_vec(),
        inode: number(inode, 10)?,
        path: unescaped(rest.trim_ascii_start()),
    })
}

/// The first word and what follows the blank behind it.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|&byte| byte == b' ').unwrap_or(text.len());
    let rest = text.get(end + 1..).unwrap_or_default();
    (end > 0).then_some((text.get(..end)?, rest))
}

fn unescaped(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&first, after)) = rest.split_first() {
        match rest.strip_prefix(ESCAPED_NEWLINE) {
            Some(after) => {
                out.push(b'\n');
                rest = after;
            }
            None => {
                out.push(first);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(line: &str) -> Mapping {
        let mut mappings = parse_maps(line.as_bytes()).unwrap();
        assert_eq!(mappings.len(), 1);
        mappings.remove(0)
    }

    #[test]
    fn a_line_of_each_kind_is_understood() {
        let text = "555e00000000-555e00001000 r-xp 00002000 fe:00 3935                       /usr/bin/cat\n\
                    555e10000000-555e10021000 rw-p 00000000 00:00 0                          [heap]\n\
                    7f0000000000-7f0000001000 ---p 00000000 00:00 0 \n\
                    7f0000002000-7f0000003000 rw-s 00000000 00:01 17                         /dev/zero (deleted)\n\
                    7ffc00000000-7ffc00004000 r--p 00000000 00:00 0                          [vvar]\n\
                    ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";
        let mappings = parse_maps(text.as_bytes()).unwrap();
        let flags: Vec<u32> = mappings.iter().map(|mapping| mapping.flags).collect();
        assert_eq!(flags, [5, 6, 0, 6, 4, 1]);
        let program = &mappings[0];
        assert_eq!((program.start, program.len()), (0x555e_0000_0000, 0x1000));
        assert_eq!((program.offset, program.inode, program.device.as_slice()), (0x2000, 3935, &b"fe:00"[..]));
        assert_eq!(program.path, b"/usr/bin/cat");
        let files: Vec<bool> = mappings.iter().map(Mapping::has_file).collect();
        assert_eq!(files, [true, false, false, true, false, false]);
        assert!(mappings[3].shared && mappings[3].is_deleted() && !mappings[3].is_of_device());
        assert!(mappings[4].is_of_kernel() && mappings[5].is_of_kernel() && !mappings[1].is_of_kernel());
    }

    #[test]
    fn paths_are_what_files_are_called() {
        let path = |text: &str| only(&format!("1000-2000 r--p 00000000 fe:00 5    {text}\n")).path;
        assert_eq!(path("/a b  c"), b"/a b  c");
        assert_eq!(path("/a\\012b\\012"), b"/a\nb\n");
        assert_eq!(path("/a\\backslash"), b"/a\\backslash");
        assert_eq!(path("/a (deleted) (deleted)"), b"/a (deleted) (deleted)");
        let mapping = parse_maps(b"1000-2000 r--p 00000000 fe:00 5    /\xff\xfe\n").unwrap().remove(0);
        assert_eq!(mapping.path, b"/\xff\xfe");
        assert!(only("1000-2000 rw-s 00000000 00:05 5 /dev/nvidia0\n").is_of_device());
        assert!(!only("1000-2000 rw-s 00000000 00:05 5 /dev/shm/sem.a\n").is_of_device());
    }

    #[test]
    fn the_largest_numbers_are_read_and_larger_ones_refused() {
        let last =
            only("fffffffffffff000-ffffffffffffffff r--p ffffffffffffffff ff:ff 18446744073709551615 /a\n");
        assert_eq!((last.end, last.offset, last.inode), (u64::MAX, u64::MAX, u64::MAX));
        for line in [
            "10000000000000000-20000000000000000 r--p 0 fe:00 5 /a",
            "1000-2000 r--p 0 fe:00 18446744073709551616 /a",
            "2000-1000 r--p 0 fe:00 5 /a",
            "1000-1000 r--p 0 fe:00 5 /a",
            "1000 r--p 0 fe:00 5 /a",
            "1000-2000 r-- 0 fe:00 5 /a",
            "1000-2000 r--p 0 fe:00",
            "-2000 r--p 0 fe:00 5 /a",
            "none",
        ] {
            assert_eq!(parse_maps(line.as_bytes()), Err(line.to_owned()), "{line}");
        }
    }

    #[test]
    fn what_cores_leave_out_is_known_from_smaps() {
        let text = "1000-2000 rw-p 00000000 00:00 0 \n\
                    Size:                  4 kB\nAnonymous:             8 kB\nVmFlags: rd wr mr mw me ac sd \n\
                    2000-3000 rw-p 00000000 00:00 0                    [a: b]\n\
                    THPeligible:           0\nAnonymous: 99999999999999999999 kB\nVmFlags: rd wr dd sd\n\
                    3000-4000 rw-s 00000000 00:00 7 /dev/mem: dd\n\
                    VmFlags: rd wr sh io pf\nSomething new entirely\n";
        let found = parse_smaps(text.as_bytes());
        let facts: Vec<_> =
            found.iter().map(|one| (one.mapping.start, one.anonymous, one.left_out)).collect();
        assert_eq!(facts, [(0x1000, 8192, false), (0x2000, u64::MAX, true), (0x3000, 0, true)]);
        assert_eq!(found[1].mapping.path, b"[a: b]");
        assert_eq!(parse_smaps(b"VmFlags: dd\n"), Vec::new());
    }
}
