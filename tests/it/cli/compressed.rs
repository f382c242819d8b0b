//! The same core plain, compressed by each program that people have, and through pipes: the same answers. And within the
//! bound of memory that is promised.

#[path = "../../../src/testkit/compressors.rs"]
#[allow(dead_code, reason = "shared with the unit tests")]
mod compressors;

use super::{schema, stderr, stdout};
use compressors::{Compressor, FORMATS};
use exuvia::corefile::{MOST_WINDOW, SeekableWriter};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// Committed cores.
fn cores() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cores");
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        entries.map(|entry| entry.path().join("core.zst")).filter(|path| path.exists()).collect();
    found.sort();
    assert!(!found.is_empty(), "fixtures/cores has no cores");
    found
}

fn unpacked(core: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(core).expect("a committed core");
    let mut decoder = zstd::stream::read::Decoder::new(file).expect("a zstd file");
    std::io::copy(&mut decoder, &mut bytes).expect("a whole zstd file");
    bytes
}

/// Runs a command on a core, which may be on standard input.
fn ask(command: &str, core: &Path, input: Stdio) -> Output {
    let mut run = Command::new(env!("CARGO_BIN_EXE_exuvia"));
    run.args([command, "--json"]).arg(core).stdin(input).output().expect("the program starts")
}

/// The document, with what belongs to the input and not to the process blanked.
fn document(output: &Output, core: &Path) -> Value {
    assert!(output.status.success(), "{}: {}", core.display(), stderr(output));
    let mut document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(document["core"]["path"], core.to_str().expect("a path"));
    document["core"]["path"] = Value::Null;
    if document["command"] == "info" {
        document["result"]["file_modified"] = Value::Null;
    }
    for step in document["result"]["next"].as_array_mut().into_iter().flatten() {
        let command = step["command"].as_str().expect("a command");
        // What came through a pipe cannot be asked again.
        let with_core = if core.is_file() { core.to_str().expect("a path") } else { "CORE" };
        assert!(command.contains(&format!(" {with_core}")), "{command}");
        step["command"] = command.replace(with_core, "CORE").into();
    }
    document
}

/// The committed core once more: in each format and in each way of handing it over.
struct Forms {
    directory: TempDir,
    files: Vec<PathBuf>,
}

impl Forms {
    fn of(core: &[u8]) -> Forms {
        let directory = TempDir::new().expect("a temporary directory");
        let write = |name: String, bytes: &[u8]| {
            let path = directory.path().join(name);
            std::fs::write(&path, bytes).expect("a file");
            path
        };
        let mut files = vec![write("plain".to_owned(), core)];
        files.extend(
            FORMATS
                .iter()
                .map(|Compressor { name, compress }| write(name.replace(' ', "-"), &compress(core))),
        );
        let mut seekable = SeekableWriter::new(Vec::new(), 1);
        seekable.write_all(core).expect("memory");
        files.push(write("seekable".to_owned(), &seekable.finish().expect("memory")));
        Forms { directory, files }
    }

    /// Each form's answers to a command.
    fn answers(&self, command: &str) -> Vec<(String, Value)> {
        let mut answers = Vec::new();
        for file in &self.files {
            answers.push((format!("{file:?}"), document(&ask(command, file, Stdio::null()), file)));
        }
        for file in self.files.iter().take(2) {
            let opened = std::fs::File::open(file).expect("a file");
            let dash = Path::new("-");
            answers.push((format!("- < {file:?}"), document(&ask(command, dash, opened.into()), dash)));
            answers.push((format!("cat {file:?} | -"), document(&ask(command, dash, piped(file)), dash)));
        }
        let named = self.directory.path().join("fifo");
        if !named.exists() {
            nix::unistd::mkfifo(&named, nix::sys::stat::Mode::S_IRWXU).expect("a named pipe");
        }
        let (from, to) = (self.files[1].clone(), named.clone());
        let writer = std::thread::spawn(move || std::fs::copy(from, to));
        let answer = ask(command, &named, Stdio::null());
        writer.join().expect("a writer").expect("the pipe is read to its end");
        answers.push(("a named pipe".to_owned(), document(&answer, &named)));
        answers
    }
}

/// `cat FILE |`
fn piped(file: &Path) -> Stdio {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let mut file = std::fs::File::open(file).expect("a file");
    // A program that fails closes its end early; its own message tells then.
    std::thread::spawn(move || std::io::copy(&mut file, &mut writer).ok());
    reader.into()
}

#[test]
fn every_form_of_a_core_gives_the_same_answers() {
    for (index, core) in cores().iter().enumerate() {
        let forms = Forms::of(&unpacked(core));
        let commands: &[&str] = if index < 2 { &["info", "types", "overview"] } else { &["info", "types"] };
        for command in commands {
            let expected = document(&ask(command, core, Stdio::null()), core);
            for (form, answer) in forms.answers(command) {
                assert!(answer == expected, "{command}: {} is not {form}", core.display());
            }
        }
    }
}

#[test]
fn what_could_be_unpacked_of_a_damaged_core_is_answered_within_bounds() {
    // The largest: lz4 loses up to 4 MiB, a block.
    let size = |path: &PathBuf| std::fs::metadata(path).map(|metadata| metadata.len()).ok();
    let largest = cores().into_iter().max_by_key(size).expect("a core");
    let core = unpacked(&largest);
    // A saved heap has the size of its core to tell, whatever became of itself.
    let size_told = document(&ask("info", &largest, Stdio::null()), &largest)["core"]["bytes"].clone();
    let is_saved = size_told != core.len() as u64;
    let directory = TempDir::new().expect("a temporary directory");
    for Compressor { name, compress } in FORMATS {
        let whole = compress(&core);
        let mut wrong_end = whole.clone();
        let last = wrong_end.len() - if name == "gzip" { 8 } else { 1 };
        wrong_end[last] ^= 1;
        for (what, file) in
            [("cut off", &whole[..whole.len() - whole.len() / 5]), ("checksum", &wrong_end[..])]
        {
            let path = directory.path().join("core");
            std::fs::write(&path, file).expect("a file");
            let output = ask("info", &path, Stdio::null());
            let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            let coverage = &document["coverage"];
            let decoded = coverage["damaged"]["decoded_bytes"].as_u64();
            let size = if is_saved { size_told.as_u64() } else { decoded };
            assert_eq!(document["core"]["bytes"].as_u64(), size, "{name}: {what}");
            assert_eq!(decoded == Some(core.len() as u64), what == "checksum", "{name}: {decoded:?}");
            assert_eq!(coverage["truncated"].is_object(), what == "cut off", "{name}");
            for answer in coverage["answers"].as_array().expect("answers") {
                assert_ne!(answer["state"], "exact", "{name}: {what}: {answer}");
            }
            assert_eq!(schema::differences("info", &[document], false), Vec::<String>::new());
            let text = Command::new(env!("CARGO_BIN_EXE_exuvia")).arg("info").arg(&path).output();
            let text = stdout(&text.expect("the program starts"));
            assert!(text.contains("Damaged") && text.contains("could be unpacked"), "{name}: {text}");
        }
    }
}

#[test]
fn what_is_neither_a_file_nor_a_pipe_is_refused() {
    for path in ["/", "/dev/null", "/dev/zero"] {
        let output = ask("info", Path::new(path), Stdio::null());
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(&format!("{path} is neither a regular file nor a pipe")));
    }
    let output = ask("info", Path::new("-"), Stdio::null());
    assert!(stderr(&output).contains("- is neither"), "{}", stderr(&output));
    let empty = TempDir::new().expect("a temporary directory");
    let file = empty.path().join("nothing");
    std::fs::write(&file, "").expect("a file");
    let output = ask("info", Path::new("-"), piped(&file));
    assert!(stderr(&output).contains("- is empty"), "{}", stderr(&output));
}

/// Bytes of memory that a decoder may have in the test of that, and how many times more the core has: a mapped core is
/// not counted (`RLIMIT_DATA` counts private writable memory).
const LIMIT: u64 = MOST_WINDOW + (96 << 20);
const TIMES: u64 = 10;

/// A core of one large segment, written piece by piece.
fn large_core(output: &mut dyn Write, size: u64) {
    let header = |kind: u32, flags: u32, numbers: [u64; 6]| {
        let words = [kind.to_le_bytes(), flags.to_le_bytes()].concat();
        words.into_iter().chain(numbers.into_iter().flat_map(u64::to_le_bytes)).collect::<Vec<u8>>()
    };
    let mut start = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0\x3e\0\x01\0\0\0".to_vec();
    start.extend([0u64, 64, 0].into_iter().flat_map(u64::to_le_bytes));
    start.extend([0u16, 0, 64, 56, 1, 64, 0, 0].into_iter().flat_map(u16::to_le_bytes));
    start.extend(header(1, 6, [4096, 0x1000_0000, 0, size - 4096, size - 4096, 4096]));
    start.resize(4096, 0);
    output.write_all(&start).expect("a core");
    let (noise, zeros) = (noise(), vec![0u8; 1 << 20]);
    // Most of it is zeros, as in most cores, and the test is of memory, not of time.
    for at in (4096..size).step_by(1 << 20) {
        let piece = if (at >> 20) % 64 == 0 { &noise } else { &zeros };
        let count = (size - at).min(1 << 20);
        output.write_all(&piece[..count as usize]).expect("a core");
    }
}

fn noise() -> Vec<u8> {
    let mut word = 1u64;
    let mut next = || {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (word >> 24).to_le_bytes()
    };
    std::iter::repeat_with(&mut next).take(1 << 17).flatten().collect()
}

/// Compressed files of a core that is larger than what decoding may take, in each format.
fn large_files(directory: &Path) -> Vec<PathBuf> {
    let size = LIMIT * TIMES;
    let create = |name: &str| std::fs::File::create(directory.join(name)).expect("a file");
    let mut zstd = zstd::stream::write::Encoder::new(create("zst"), 1).expect("memory");
    zstd.window_log(27).expect("a window");
    large_core(&mut zstd, size);
    zstd.finish().expect("a file");
    let mut lz4 = lz4_flex::frame::FrameEncoder::with_frame_info(
        lz4_flex::frame::FrameInfo::new()
            .block_size(lz4_flex::frame::BlockSize::Max4MB)
            .block_mode(lz4_flex::frame::BlockMode::Linked),
        create("lz4"),
    );
    large_core(&mut lz4, size);
    lz4.finish().expect("a file");
    let mut gzip = flate2::write::GzEncoder::new(create("gz"), flate2::Compression::fast());
    large_core(&mut gzip, size);
    gzip.finish().expect("a file");
    let mut options = liblzma::stream::LzmaOptions::new_preset(0).expect("a preset");
    options.dict_size(MOST_WINDOW as u32);
    let mut filters = liblzma::stream::Filters::new();
    filters.lzma2(&options);
    let stream = liblzma::stream::Stream::new_stream_encoder(&filters, liblzma::stream::Check::Crc32);
    let mut xz = liblzma::write::XzEncoder::new_stream(create("xz"), stream.expect("an encoder"));
    large_core(&mut xz, size);
    xz.finish().expect("a file");
    let mut seekable = SeekableWriter::new(create("seekable"), 1);
    large_core(&mut seekable, size);
    seekable.finish().expect("a file");
    ["zst", "lz4", "gz", "xz", "seekable"].map(|name| directory.join(name)).to_vec()
}

#[test]
fn a_core_ten_times_larger_than_the_bound_is_decoded_within_it() {
    let directory = TempDir::new().expect("a temporary directory");
    for file in large_files(directory.path()) {
        let script = format!("ulimit -d {}; exec \"$@\"", LIMIT >> 10);
        let output = Command::new("sh")
            .args(["-c", &script, "sh", env!("CARGO_BIN_EXE_exuvia"), "info", "--json", "-j1"])
            .arg(&file)
            .env("TMPDIR", directory.path())
            .output()
            .expect("a shell");
        let document: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}: {}", file.display(), stderr(&output)));
        assert_eq!(document["core"]["bytes"], LIMIT * TIMES, "{}", file.display());
        assert!(document["coverage"]["damaged"].is_null(), "{}", file.display());
    }
}

#[test]
fn less_memory_than_a_window_needs_is_too_little() {
    // That the limit of the test above limits anything.
    let directory = TempDir::new().expect("a temporary directory");
    let path = directory.path().join("core.zst");
    let mut zstd =
        zstd::stream::write::Encoder::new(std::fs::File::create(&path).expect("a file"), 1).expect("memory");
    zstd.window_log(27).expect("a window");
    large_core(&mut zstd, 256 << 20);
    zstd.finish().expect("a file");
    let output = Command::new("sh")
        .args(["-c", "ulimit -d 98304; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_exuvia"), "info", "-j1"])
        .arg(&path)
        .output()
        .expect("a shell");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("memory"), "{}", stderr(&output));
}
