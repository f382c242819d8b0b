//! Debug information in every shape that tools give it: a small program is compiled, its core is taken, and then its files
//! are compressed, taken apart or shared by the tools that distributions use. What is known of its types and functions
//! must not change.
//!
//! A trial whose tool is not installed counts as ignored, unless `EXUVIA_TOOLS` is set: then it fails.

use exuvia::corefile::{Inputs, SearchOptions};
use exuvia::debuginfo::Binaries;
use libtest_mimic::Trial;
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SOURCE: &str = r#"
#include <dirent.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
struct pair { int left; long right; };
struct outer { char pad[5]; struct pair *one; };
struct outer global;
struct dirent entry;
struct stat status;
struct addrinfo info;
pthread_mutex_t mutex;
__attribute__((noinline)) int works_on(struct outer *self) { return self->one != 0; }
int main(void) { printf("%d", works_on(&global)); fflush(stdout); pause(); return 0; }
"#;

/// What is left to do once the core is there.
type Rearrange = fn(&Scene) -> Result<SearchOptions, String>;

struct Case {
    name: &'static str,
    flags: &'static [&'static str],
    tools: &'static [&'static str],
    rearrange: Rearrange,
}

const CASES: &[Case] = &[
    Case { name: "zlib", flags: &[], tools: &["objcopy"], rearrange: |s| s.compress("zlib") },
    Case {
        name: "zlib-gnu",
        flags: &["-gdwarf-4"],
        tools: &["objcopy"],
        rearrange: |s| s.compress("zlib-gnu"),
    },
    Case { name: "zstd", flags: &[], tools: &["objcopy"], rearrange: |s| s.compress("zstd") },
    Case { name: "build-id", flags: &[], tools: &["objcopy"], rearrange: build_id_directory },
    Case { name: "debuginfod-cache", flags: &[], tools: &["objcopy"], rearrange: debuginfod_cache },
    Case { name: "debug-link", flags: &["-Wl,--build-id=none"], tools: &["objcopy"], rearrange: debug_link },
    Case { name: "dwz", flags: &[], tools: &["objcopy", "dwz"], rearrange: |s| shared(s, &[]) },
    Case {
        name: "dwz-dwarf-4",
        flags: &["-gdwarf-4"],
        tools: &["objcopy", "dwz"],
        rearrange: |s| shared(s, &[]),
    },
    Case {
        name: "dwz-debug-sup",
        flags: &[],
        tools: &["objcopy", "dwz"],
        rearrange: |s| shared(s, &["--dwarf-5"]),
    },
    Case {
        name: "split",
        flags: &["-gsplit-dwarf"],
        tools: &[],
        rearrange: |_| Ok(SearchOptions::default()),
    },
    Case {
        name: "split-dwarf-4",
        flags: &["-gsplit-dwarf", "-gdwarf-4"],
        tools: &[],
        rearrange: |_| Ok(SearchOptions::default()),
    },
    Case { name: "split-moved", flags: &["-gsplit-dwarf"], tools: &[], rearrange: split_moved },
    Case { name: "package", flags: &["-gsplit-dwarf", "-gdwarf-4"], tools: &["dwp"], rearrange: package },
];

/// A trial for each case.
pub fn trials() -> Vec<Trial> {
    let expected = std::env::var_os("EXUVIA_TOOLS").is_some();
    let trial = |case: &'static Case| {
        let mut tools = ["gcc", "gcore"].iter().chain(case.tools);
        let installed = tools.all(|tool| is_installed(tool));
        Trial::test(format!("tools::{}", case.name), move || prove(case).map_err(Into::into))
            .with_ignored_flag(!installed && !expected)
    };
    CASES.iter().map(trial).collect()
}

/// Whether a program of that name is on `PATH`.
pub fn is_installed(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(tool).is_file())
}

/// A program with its sources and a core of it.
struct Scene {
    dir: tempfile::TempDir,
}

fn prove(case: &Case) -> Result<(), String> {
    let scene = Scene { dir: tempfile::tempdir().map_err(|error| error.to_string())? };
    scene.compile("prog", case.flags)?;
    let core = scene.take_core()?;
    let options = (case.rearrange)(&scene)?;
    let inputs = Inputs::open(&core, &options).map_err(|error| error.to_string())?;
    let binaries = Binaries::new(&inputs);
    let program = inputs.modules().iter().position(|module| module.is_executable).ok_or("no program")?;
    let index = binaries.dwarf(program).map_err(str::to_owned)?;
    let offset = |ty, path| index.field(ty, path).map(|field| field.offset);
    let found = (index.struct_size("pair"), offset("pair", "right"), offset("outer", "one"));
    equal(found, (Some(16), Some(8), Some(8)), "the program's own structs")?;
    let shared = (index.struct_size("dirent"), index.struct_size("stat"), index.struct_size("addrinfo"));
    equal(shared, (Some(280), Some(144), Some(48)), "structs of the C library")?;
    let address = binaries.symbol(program, "works_on").ok_or("no symbol works_on")?.address;
    let link_address =
        address.wrapping_sub(inputs.modules().get(program).map_or(0, |module| module.load_bias));
    let function = index.function_at(link_address).map(|function| function.name);
    equal(function.as_deref(), Some("works_on"), "the function at its address")
}

fn equal<T: PartialEq + std::fmt::Debug>(found: T, expected: T, what: &str) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?}, not {expected:?}")) }
}

impl Scene {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs a tool in the directory.
    fn run(&self, line: &[&dyn AsRef<OsStr>]) -> Result<String, String> {
        let (tool, arguments) = line.split_first().ok_or("no tool")?;
        let output = Command::new(tool.as_ref())
            .args(arguments.iter().map(|argument| argument.as_ref()))
            .current_dir(self.dir.path())
            .output()
            .map_err(|error| format!("{}: {error}", tool.as_ref().display()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(format!("{}: {said}", tool.as_ref().display()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn compile(&self, name: &str, flags: &[&str]) -> Result<(), String> {
        let source = format!("{name}.c");
        std::fs::write(self.path(&source), SOURCE).map_err(|error| error.to_string())?;
        let mut line: Vec<&dyn AsRef<OsStr>> = vec![&"gcc", &"-g", &"-O1", &"-Wl,--build-id", &"-o", &name];
        line.extend(flags.iter().map(|flag| flag as &dyn AsRef<OsStr>));
        line.push(&source);
        self.run(&line).map(|_| ())
    }

    fn take_core(&self) -> Result<PathBuf, String> {
        let mut program = Command::new(self.path("prog"))
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut ready = [0];
        let read = program.stdout.as_mut().map(|output| output.read_exact(&mut ready));
        let pid = program.id().to_string();
        let taken = match read {
            Some(Ok(())) => self.run(&[&"gcore", &"-o", &"core", &pid]),
            _ => Err("the program does not run".to_owned()),
        };
        let _ = program.kill();
        let _ = program.wait();
        taken.map(|_| self.path(&format!("core.{pid}")))
    }

    fn compress(&self, kind: &str) -> Result<SearchOptions, String> {
        self.run(&[&"objcopy", &format!("--compress-debug-sections={kind}"), &"prog"])?;
        Ok(SearchOptions::default())
    }

    /// Moves the debug information out of `name` into `to`.
    fn detach(&self, name: &str, to: &Path) -> Result<(), String> {
        if let Some(directory) = to.parent() {
            std::fs::create_dir_all(directory).map_err(|error| error.to_string())?;
        }
        self.run(&[&"objcopy", &"--only-keep-debug", &name, &to])?;
        self.run(&[&"objcopy", &"--strip-all", &name]).map(|_| ())
    }

    /// The program's build-id in hexadecimal.
    fn build_id(&self) -> Result<String, String> {
        let notes = self.run(&[&"readelf", &"-n", &"prog"])?;
        let id = notes.lines().find_map(|line| line.trim().strip_prefix("Build ID: "));
        id.map(str::to_owned).ok_or_else(|| "no build-id".to_owned())
    }

    fn build_id_entry(&self) -> Result<PathBuf, String> {
        let id = self.build_id()?;
        let (first, rest) = id.split_at(2);
        Ok(self.path("debug/.build-id").join(first).join(format!("{rest}.debug")))
    }

    fn debug_dir(&self) -> SearchOptions {
        SearchOptions { debug_dirs: vec![self.path("debug")], ..SearchOptions::default() }
    }
}

fn build_id_directory(scene: &Scene) -> Result<SearchOptions, String> {
    scene.detach("prog", &scene.build_id_entry()?)?;
    Ok(scene.debug_dir())
}

fn debuginfod_cache(scene: &Scene) -> Result<SearchOptions, String> {
    scene.detach("prog", &scene.path("cache").join(scene.build_id()?).join("debuginfo"))?;
    Ok(SearchOptions { debuginfod_caches: vec![scene.path("cache")], ..SearchOptions::default() })
}

fn debug_link(scene: &Scene) -> Result<SearchOptions, String> {
    let debug = scene.path(".debug/prog.debug");
    scene.detach("prog", &debug)?;
    scene.run(&[&"objcopy", &format!("--add-gnu-debuglink={}", debug.display()), &"prog"])?;
    Ok(SearchOptions::default())
}

/// What two programs have in common goes to a third file, as in the debug packages of distributions.
fn shared(scene: &Scene, flags: &[&str]) -> Result<SearchOptions, String> {
    let format: &[&str] = if flags.is_empty() && scene.is_dwarf_4()? { &["-gdwarf-4"] } else { &[] };
    scene.compile("other", format)?;
    let entry = scene.build_id_entry()?;
    scene.detach("prog", &entry)?;
    scene.detach("other", &scene.path("debug/other.debug"))?;
    std::fs::create_dir_all(scene.path("debug/.dwz")).map_err(|error| error.to_string())?;
    let common = scene.path("debug/.dwz/common");
    let mut line: Vec<&dyn AsRef<OsStr>> = vec![&"dwz"];
    line.extend(flags.iter().map(|flag| flag as &dyn AsRef<OsStr>));
    let other = scene.path("debug/other.debug");
    line.extend([&"-m" as &dyn AsRef<OsStr>, &common, &"-M", &"/usr/lib/debug/.dwz/common", &entry, &other]);
    scene.run(&line)?;
    let sections = scene.run(&[&"readelf", &"-SW", &entry])?;
    let link = if flags.is_empty() { ".gnu_debugaltlink" } else { ".debug_sup" };
    if !sections.contains(link) {
        return Err(format!("dwz made no {link}"));
    }
    Ok(scene.debug_dir())
}

impl Scene {
    fn is_dwarf_4(&self) -> Result<bool, String> {
        let info = self.run(&[&"readelf", &"--debug-dump=info", &"--dwarf-depth=1", &"prog"])?;
        Ok(info.contains("Version:       4"))
    }
}

fn split_moved(scene: &Scene) -> Result<SearchOptions, String> {
    std::fs::create_dir(scene.path("debug")).map_err(|error| error.to_string())?;
    for entry in std::fs::read_dir(scene.dir.path()).into_iter().flatten().flatten() {
        if entry.path().extension() == Some(OsStr::new("dwo")) {
            let to = scene.path("debug").join(entry.file_name());
            std::fs::rename(entry.path(), to).map_err(|error| error.to_string())?;
        }
    }
    Ok(scene.debug_dir())
}

fn package(scene: &Scene) -> Result<SearchOptions, String> {
    scene.run(&[&"dwp", &"-e", &"prog", &"-o", &"prog.dwp"])?;
    let moved = split_moved(scene).map(|_| SearchOptions::default());
    std::fs::remove_dir_all(scene.path("debug")).map_err(|error| error.to_string())?;
    moved
}
