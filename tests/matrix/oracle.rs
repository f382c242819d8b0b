//! Reads what an interpreter said of its own heap before it was dumped (format: fixtures/README.md).

use crate::cells::Origin;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One object of `objs.bin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object {
    pub address: u64,
    pub type_: u64,
    pub size: u64,
}

/// Where the files of one oracle lie: `DIR/oracle` and a file's ending.
#[derive(Clone, Debug)]
pub struct Oracle {
    prefix: PathBuf,
}

#[derive(Debug, Deserialize)]
pub struct Summary {
    pub allocated_blocks: i64,
    pub gc: Gc,
    pub looking: Looking,
    #[serde(default)]
    pub build: Build,
}

/// What `counted.py` counted, by kind and type.
#[derive(Debug, Deserialize)]
pub struct Counted {
    /// Values that exist more than once, objects too many, bytes of all but the largest.
    pub duplicates: BTreeMap<String, Vec<u64>>,
    /// Objects and bytes.
    pub room: BTreeMap<String, BTreeMap<String, Vec<u64>>>,
    /// The same of the planted classes.
    pub classes: BTreeMap<String, BTreeMap<String, Vec<u64>>>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Build {
    /// `sys.getcounts()` shortly before the dump and shortly after: `tp_name`, made, freed, most.
    pub counts: Option<[Vec<AllocationCount>; 2]>,
}

#[derive(Debug, Deserialize)]
pub struct Gc {
    pub enabled: bool,
    pub count: [i32; 3],
    pub threshold: [i32; 3],
    pub stats: [Stats; 3],
    pub freeze_count: usize,
}

#[derive(Debug, Deserialize)]
pub struct Stats {
    pub collections: u64,
    pub collected: u64,
    pub uncollectable: u64,
}

#[derive(Debug, Deserialize)]
pub struct Looking {
    /// Address, type name, count in the child, count in the dumped process, reason.
    pub refcounts: Vec<(u64, String, i64, i64, String)>,
}

#[derive(Debug, Deserialize)]
pub struct TypeName {
    pub name: String,
    /// `tp_name`, where it is another.
    pub tp_name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Threads {
    /// The thread that forked, where the interpreter asked had it.
    pub forking_thread: Option<u64>,
    pub threads: Vec<Thread>,
}

#[derive(Debug, Deserialize)]
pub struct Thread {
    pub ident: u64,
    pub native_id: Option<u64>,
    pub handled_exception: Option<u64>,
    /// Up to 3.9 an interpreter tells this of the asking thread only.
    #[serde(default = "always")]
    pub handled_is_known: bool,
    pub frames: Vec<Frame>,
}

fn always() -> bool {
    true
}

#[derive(Debug, Deserialize)]
pub struct Frame {
    pub function: String,
    pub qualname: Option<String>,
    pub file: String,
    pub line: Option<u32>,
    pub code: u64,
    pub globals: u64,
    pub locals_are_globals: bool,
    pub locals: Vec<(String, u64, String)>,
}

/// A row of `sys.getcounts()`: type, instances made, freed, most at a time.
pub type AllocationCount = (String, u64, u64, u64);

/// A row of `sys._debugmallocstats()`: class, size, pools, blocks in use, blocks available.
pub type MallocClass = (u64, u64, u64, u64, u64);

impl Oracle {
    pub fn new(prefix: impl Into<PathBuf>) -> Self {
        Self { prefix: prefix.into() }
    }

    /// The oracle of subinterpreter `id` beside this one, if there is one.
    pub fn of_interpreter(&self, id: i64) -> Option<Self> {
        let prefix = with_ending(&self.prefix, &format!("interp{id}"));
        let oracle = Self { prefix };
        oracle.has("objs.bin").then_some(oracle)
    }

    fn has(&self, ending: &str) -> bool {
        let plain = with_ending(&self.prefix, ending);
        plain.exists() || with_ending(&plain, "zst").exists()
    }

    fn read(&self, ending: &str) -> Vec<u8> {
        let path = with_ending(&self.prefix, ending);
        if let Ok(bytes) = std::fs::read(&path) {
            return bytes;
        }
        let packed = with_ending(&path, "zst");
        let file =
            std::fs::File::open(&packed).unwrap_or_else(|error| panic!("{}: {error}", packed.display()));
        let mut bytes = Vec::new();
        let mut decoder = zstd::stream::read::Decoder::new(file).expect("a zstd file");
        std::io::Read::read_to_end(&mut decoder, &mut bytes).expect("a whole zstd file");
        bytes
    }

    fn words(&self, ending: &str) -> Vec<u64> {
        let bytes = self.read(ending);
        assert_eq!(bytes.len() % 8, 0, "{ending} is a stream of words");
        bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect()
    }

    fn json<T: for<'de> Deserialize<'de>>(&self, ending: &str) -> T {
        serde_json::from_slice(&self.read(ending)).unwrap_or_else(|error| panic!("{ending}: {error}"))
    }

    pub fn summary(&self) -> Summary {
        self.json("json")
    }

    /// What the program itself noted.
    pub fn notes(&self) -> serde_json::Value {
        self.json::<serde_json::Value>("json")["notes"].clone()
    }

    /// What the interpreter counted of waste; of the scenario `waste` only.
    pub fn counted(&self) -> Counted {
        #[derive(Deserialize)]
        struct Part {
            counted: Counted,
        }
        self.json::<Part>("json").counted
    }

    /// What the program noted under `name`.
    pub fn note<T: for<'de> Deserialize<'de>>(&self, name: &str) -> T {
        let mut summary: serde_json::Value = self.json("json");
        let note = summary["notes"][name].take();
        serde_json::from_value(note).unwrap_or_else(|error| panic!("notes.{name}: {error}"))
    }

    /// What single cuts freed; committed oracles have none.
    pub fn has_cuts(&self) -> bool {
        self.has("cuts.json")
    }

    pub fn cuts(&self) -> crate::cuts::Cuts {
        self.json("cuts.json")
    }

    pub fn threads(&self) -> Threads {
        self.json("threads.json")
    }

    /// The threads that a subinterpreter listed; oracles of some releases did not ask it.
    pub fn threads_if_asked(&self) -> Vec<Thread> {
        if self.has("threads.json") { self.threads().threads } else { Vec::new() }
    }

    pub fn types(&self) -> BTreeMap<u64, TypeName> {
        let by_text: BTreeMap<String, TypeName> = self.json("types.json");
        by_text.into_iter().map(|(id, name)| (id.parse().expect("an id"), name)).collect()
    }

    /// The three generations, in list order.
    pub fn tracked(&self) -> Vec<Vec<u64>> {
        let words = self.words("tracked.bin");
        let mut rest = words.as_slice();
        let mut generations = Vec::new();
        while let Some((&count, tail)) = rest.split_first() {
            let (ids, tail) = tail.split_at(count as usize);
            generations.push(ids.to_vec());
            rest = tail;
        }
        generations
    }

    pub fn objects(&self) -> Vec<Object> {
        let words = self.words("objs.bin");
        let triples = words.as_chunks::<3>().0.iter();
        triples.map(|&[address, type_, size]| Object { address, type_, size }).collect()
    }

    pub fn refcounts(&self) -> Vec<(u64, u64)> {
        self.words("refcounts.bin")
            .as_chunks::<2>()
            .0
            .iter()
            .map(|&[address, count]| (address, count))
            .collect()
    }

    /// For each object with the GC flag, its referents as `gc.get_referents` gave them.
    pub fn referents(&self) -> Vec<(u64, Vec<u64>)> {
        let words = self.words("edges.bin");
        let mut rest = words.as_slice();
        let mut records = Vec::new();
        while let [count, address, tail @ ..] = rest {
            let (targets, tail) = tail.split_at(*count as usize);
            records.push((*address, targets.to_vec()));
            rest = tail;
        }
        records
    }

    /// What `gc.collect()` found unreachable, before it ran any finalizer.
    pub fn unreachable(&self) -> Vec<u64> {
        self.words("unreachable.bin")
    }

    /// What of it was in `gc.garbage` at the end.
    pub fn saved(&self) -> Vec<u64> {
        self.words("garbage.bin")
    }

    /// Size classes and the named totals of `sys._debugmallocstats()`.
    /// How the program was run, where that was noted.
    pub fn origin(&self) -> Option<Origin> {
        Origin::of(self.prefix.parent()?)
    }

    pub fn malloc(&self) -> (Vec<MallocClass>, BTreeMap<String, u64>) {
        let text = String::from_utf8(self.read("malloc.txt")).expect("text");
        let mut classes = Vec::new();
        let mut totals = BTreeMap::new();
        for line in text.lines() {
            let numbers: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
            if let [class, size, pools, used, free] = numbers[..] {
                classes.push((class, size, pools, used, free));
            } else if let Some((name, value)) = line.split_once(['=', ':'])
                && let Ok(value) = value.trim().replace(',', "").parse()
            {
                totals.entry(name.trim().to_owned()).or_insert(value);
            }
        }
        (classes, totals)
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}
