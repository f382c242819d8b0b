//! Runs the program as a user does, with bounds on what it may take.

use super::core_image::CoreImage;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Far above what any of these cores needs: only a walk without an end gets there.
const PATIENCE: Duration = Duration::from_secs(120);
/// KiB of address space: only an allocation of an absurd size gets there.
const ADDRESS_SPACE: u32 = 6 << 20;

/// What a run ended with.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `exuvia` with these arguments.
pub fn exuvia(arguments: &[&str]) -> Run {
    let limited = format!("ulimit -v {ADDRESS_SPACE} && exec \"$@\"");
    let mut child = Command::new("sh")
        .args(["-c", &limited, "sh", env!("CARGO_BIN_EXE_exuvia"), "-j", "2"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let stdout = drain(child.stdout.take().expect("a pipe"));
    let stderr = drain(child.stderr.take().expect("a pipe"));
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("the state of a child") {
            break status;
        }
        if start.elapsed() > PATIENCE {
            child.kill().expect("a child can be killed");
            child.wait().expect("a killed child ends");
            panic!("exuvia {arguments:?} did not end");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    Run { code: status.code(), stdout: stdout.join().expect("text"), stderr: stderr.join().expect("text") }
}

fn drain(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        String::from_utf8(bytes).expect("the program writes UTF-8")
    })
}

/// A committed core.
pub struct Fixture {
    pub name: String,
    pub core: CoreImage,
    pub packed: PathBuf,
}

/// All committed cores; there must be some.
pub fn fixtures() -> Vec<Fixture> {
    let cores = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cores");
    let mut directories: Vec<PathBuf> = std::fs::read_dir(&cores)
        .expect("fixtures/cores")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    directories.sort();
    let fixture = |directory: PathBuf| {
        let packed = directory.join("core.zst");
        packed.exists().then(|| Fixture {
            name: directory.file_name().expect("a name").to_string_lossy().into_owned(),
            core: CoreImage::unpack(&packed),
            packed,
        })
    };
    let found: Vec<Fixture> = directories.into_iter().filter_map(fixture).collect();
    assert!(!found.is_empty(), "there are no committed cores");
    found
}
