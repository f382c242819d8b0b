//! Who a process is, from the text files of `/proc/PID`. Knows `stat`, `status` and their fields (proc(5)); refuses to know
//! its memory.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use super::error::CaptureError;

/// Most bytes read of one file of `/proc`: as many lines as a process can have mappings (`vm.max_map_count`), and more.
const MOST_TEXT: u64 = 1 << 30;
/// `PF_KTHREAD` (Linux, include/linux/sched.h).
const KERNEL_THREAD: u64 = 0x0020_0000;
/// `CAP_SYS_PTRACE` (Linux, include/uapi/linux/capability.h).
const CAP_SYS_PTRACE: u32 = 19;

/// What `/proc/PID/stat` says, as far as cores tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stat {
    /// At most 15 bytes.
    pub(super) name: Vec<u8>,
    /// State letter, as `ps` shows it.
    pub(super) state: u8,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    /// `PF_*` of the kernel.
    pub(super) flags: u64,
    pub(super) nice: i64,
    /// Ticks from the start of the machine to that of the process: tells processes apart that had one number in turn.
    pub(super) started: u64,
}

impl Stat {
    pub(super) fn is_kernel_thread(&self) -> bool {
        self.flags & KERNEL_THREAD != 0
    }

    /// Whether nothing is left of it but its number.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// Reads `stat`. The name may contain anything, parentheses and line ends too: it ends at the last `)`.
pub(super) fn parse_stat(text: &[u8]) -> Option<Stat> {
    let open = text.iter().position(|&byte| byte == b'(')?;
    let close = text.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
    // Fields are counted from 1, and this is what follows the second.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    Some(Stat {
        name: text.get(open + 1..close)?.to_vec(),
        state: *field(3)?.as_bytes().first()?,
        parent: field(4)?.parse().ok()?,
        group: field(5)?.parse().ok()?,
        session: field(6)?.parse().ok()?,
        flags: field(9)?.parse().ok()?,
        nice: field(19)?.parse().ok()?,
        started: field(22)?.parse().ok()?,
    })
}

/// What `/proc/PID/status` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    /// The process a thread belongs to.
    pub(super) process: i32,
    /// Who traces it; 0 for nobody.
    pub(super) tracer: i32,
    /// Real user and group.
    pub(super) user: u32,
    pub(super) group: u32,
    /// Effective capabilities.
    pub(super) capabilities: u64,
    /// Its number in each namespace it is in, the innermost last.
    pub(super) numbers: Vec<i32>,
}

impl Status {
    pub(super) fn may_trace_all(&self) -> bool {
        self.capabilities >> CAP_SYS_PTRACE & 1 == 1
    }
}

/// Reads `status`. The name comes first and has its line ends escaped, so no name can pass for another line.
pub(super) fn parse_status(text: &[u8]) -> Status {
    let mut status = Status::default();
    for line in text.split(|&byte| byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok()) {
        let Some((key, value)) = line.split_once(':') else { continue };
        let mut words = value.split_ascii_whitespace();
        let mut first = || words.next().unwrap_or_default();
        match key {
            "Tgid" => status.process = first().parse().unwrap_or(0),
            "TracerPid" => status.tracer = first().parse().unwrap_or(0),
            "Uid" => status.user = first().parse().unwrap_or(0),
            "Gid" => status.group = first().parse().unwrap_or(0),
            "CapEff" => status.capabilities = u64::from_str_radix(first(), 16).unwrap_or(0),
            "NSpid" => status.numbers = words.filter_map(|word| word.parse().ok()).collect(),
            _ => {}
        }
    }
    status
}

/// `/proc/PID/name`.
pub(super) fn path(pid: i32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

/// Reads a file of a process. That the process is gone is told apart from that the file cannot be read.
pub(super) fn read(pid: i32, name: &str) -> Result<Vec<u8>, CaptureError> {
    read_file(pid, path(pid, name))
}

/// As [`read`], of one of its threads.
pub(super) fn read_of_thread(pid: i32, tid: i32, name: &str) -> Result<Vec<u8>, CaptureError> {
    read_file(pid, PathBuf::from(format!("/proc/{pid}/task/{tid}/{name}")))
}

fn read_file(pid: i32, path: PathBuf) -> Result<Vec<u8>, CaptureError> {
    let mut text = Vec::new();
    match File::open(&path).and_then(|file| file.take(MOST_TEXT).read_to_end(&mut text)) {
        Ok(_) => Ok(text),
        Err(source) => Err(failed(pid, path, source)),
    }
}

/// What a failure to open or read a file of a process means.
pub(super) fn failed(pid: i32, path: PathBuf, source: io::Error) -> CaptureError {
    let gone = source.kind() == io::ErrorKind::NotFound || source.raw_os_error() == Some(nix::libc::ESRCH);
    match source.kind() {
        _ if gone => CaptureError::Ended { pid },
        io::ErrorKind::PermissionDenied => not_permitted(pid),
        _ => CaptureError::Proc { path, source },
    }
}

/// The threads there are now.
pub(super) fn threads(pid: i32) -> Result<Vec<i32>, CaptureError> {
    let directory = path(pid, "task");
    let entries = std::fs::read_dir(&directory).map_err(|source| failed(pid, directory.clone(), source))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|source| failed(pid, directory.clone(), source))?;
        found.extend(entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}

/// `stat` of a process or of one of its threads.
pub(super) fn stat_of_thread(pid: i32, tid: i32) -> Result<Stat, CaptureError> {
    let text = read_of_thread(pid, tid, "stat")?;
    parse_stat(&text).ok_or_else(|| unexpected(pid, "stat", &text))
}

/// Bytes of memory that this machine can still give away, by its own estimate; 0 if it does not tell.
pub(super) fn available_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kibibytes = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kibibytes.map_or(0, |number| number.saturating_mul(1024))
}

/// A file that is not as it should be.
pub(super) fn unexpected(pid: i32, name: &str, text: &[u8]) -> CaptureError {
    let line = String::from_utf8_lossy(text).chars().take(100).collect();
    CaptureError::Unexpected { path: path(pid, name), what: line }
}

/// The error for a process that may not be traced, with the likeliest reason (ptrace(2), "Ptrace access mode checking").
pub(super) fn not_permitted(pid: i32) -> CaptureError {
    let status = read(pid, "status").map(|text| parse_status(&text)).unwrap_or_default();
    if status.tracer != 0 {
        return CaptureError::Traced { pid, tracer: status.tracer };
    }
    let own = read(std::process::id() as i32, "status").map(|text| parse_status(&text)).unwrap_or_default();
    let yama = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    CaptureError::NotPermitted { pid, why: reason(&own, &status, yama.trim()) }
}

fn reason(own: &Status, other: &Status, yama: &str) -> String {
    const CONTAINER: &str = "in a container that is --cap-add SYS_PTRACE";
    if own.user != other.user && !own.may_trace_all() {
        let user = other.user;
        return format!("it runs as user {user}; be that user or root, or have CAP_SYS_PTRACE ({CONTAINER})");
    }
    match yama {
        "1" if !own.may_trace_all() => format!(
            "/proc/sys/kernel/yama/ptrace_scope is 1, so only its ancestors may; be root, or have CAP_SYS_PTRACE ({CONTAINER})"
        ),
        "2" if !own.may_trace_all() => {
            format!("/proc/sys/kernel/yama/ptrace_scope is 2; be root, or have CAP_SYS_PTRACE ({CONTAINER})")
        }
        "3" => "/proc/sys/kernel/yama/ptrace_scope is 3: nobody may until the machine starts anew".to_owned(),
        _ => format!(
            "it has privileges that this program lacks, has made itself undumpable, or a security module forbids it; \
             CAP_SYS_PTRACE is needed, which root has ({CONTAINER})"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: &str = "R 1 2 3 34816 5 4194304 6 7 8 9 10 11 12 13 20 -5 17 0 8543 21 22";

    #[test]
    fn a_name_cannot_pass_for_the_fields_behind_it() {
        for name in ["cat", "a b", ") R 1 2", "(", "a)\nb) S (", ""] {
            let stat = parse_stat(format!("4242 ({name}) {NUMBERS}\n").as_bytes()).expect(name);
            assert_eq!(stat.name, name.as_bytes());
            assert_eq!((stat.state, stat.parent, stat.group, stat.session), (b'R', 1, 2, 3), "{name}");
            assert_eq!((stat.flags, stat.nice, stat.started), (4_194_304, -5, 8543), "{name}");
        }
    }

    #[test]
    fn what_is_no_stat_is_refused() {
        let huge = format!("1 (a) {}", NUMBERS.replace("8543", "99999999999999999999999"));
        for text in ["", "1 (a", "1 a) S", "1 (a) S 1 2", ")(", huge.as_str()] {
            assert_eq!(parse_stat(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn threads_of_the_kernel_and_the_dead_are_told() {
        let stat = |text: &str| parse_stat(format!("2 (kthreadd) {text}").as_bytes()).expect(text);
        assert!(stat(&NUMBERS.replace("4194304", "2129984")).is_kernel_thread());
        assert!(!stat(NUMBERS).is_kernel_thread() && !stat(NUMBERS).has_ended());
        assert!(stat(&NUMBERS.replace('R', "Z")).has_ended());
    }

    #[test]
    fn status_is_read_by_the_names_of_its_lines() {
        let text = b"Name:\tTgid:\\n7\nTgid:\t12\nTracerPid:\t99\nUid:\t1000\t0\t0\t0\nGid:\t5\t5\t5\t5\n\
                     CapEff:\t0000000000080000\nNSpid:\t12\t3\t1\nUnknown\n";
        let status = parse_status(text);
        assert_eq!((status.process, status.tracer, status.user, status.group), (12, 99, 1000, 5));
        assert_eq!(status.numbers, [12, 3, 1]);
        assert!(status.may_trace_all());
        assert_eq!(parse_status(b"Uid:\nTgid:\tx\nCapEff:\tzz\n"), Status::default());
    }

    #[test]
    fn the_reason_names_what_forbids_it() {
        let all = Status { capabilities: 1 << CAP_SYS_PTRACE, ..Status::default() };
        let user = Status { user: 1000, ..Status::default() };
        assert!(reason(&user, &Status::default(), "0").starts_with("it runs as user 0"));
        assert!(reason(&user, &user, "1").contains("ptrace_scope is 1"));
        assert!(reason(&user, &user, "2").contains("ptrace_scope is 2"));
        assert!(reason(&all, &user, "3").contains("ptrace_scope is 3"));
        assert!(reason(&all, &user, "1").contains("security module"));
        assert!(reason(&user, &user, "").contains("undumpable"));
    }
}
