//! `exuvia dev dump`: what was decoded, in the formats of the oracle, so that anyone can check us.
//!
//! All files are little-endian u64 words: `PREFIX.objs.bin` triples (address, type, size) of every object;
//! `PREFIX.edges.bin` records (n, address, n referents) of what `tp_traverse` visits; `PREFIX.garbage.bin` and
//! `PREFIX.tracked.bin` addresses; `PREFIX.malloc.txt` the allocator's figures as text.

use crate::analysis::collect;
use crate::cpython::{Generation, PymallocFigures, References, Runtime};
use crate::graph::EdgeKind;
use crate::heap::{Census, Counted, build_graph, census};
use anyhow::Context;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes all files of `prefix`.
///
/// # Errors
/// The heap cannot be read, or a file cannot be written.
pub fn dump(runtime: &mut Runtime<'_>, prefix: &Path) -> anyhow::Result<()> {
    let Census { counted: Counted { objects, .. }, figures, .. } = census(runtime)?;
    let mut out = Words::create(prefix, "objs.bin")?;
    for id in objects.ids() {
        let type_ = runtime.types.get(objects.type_id(id)).address;
        out.write(&[objects.address(id), type_, objects.size(id)])?;
    }
    out.finish()?;

    let mut out = Words::create(prefix, "edges.bin")?;
    let mut references = References::new(runtime);
    let mut record = Vec::new();
    for id in objects.ids() {
        record.clear();
        record.extend([0, objects.address(id)]);
        let info = runtime.types.get(objects.type_id(id));
        // What could not be read is missing from the record, as a reader of the dump will see.
        let _ = references.visit(info, objects.address(id), &mut |referent| {
            if referent.kind == EdgeKind::Visited {
                record.push(referent.target);
            }
        });
        if let Some(count) = record.len().checked_sub(2).filter(|&count| count > 0) {
            record[0] = count as u64;
            out.write(&record)?;
        }
    }
    out.finish()?;

    let graph = build_graph(runtime, &objects)?;
    let garbage = collect(runtime, &objects, &graph);
    let mut out = Words::create(prefix, "garbage.bin")?;
    for node in garbage.unreachable.iter() {
        out.write(&[objects.address(crate::heap::ObjectId(node))])?;
    }
    out.finish()?;

    let mut out = Words::create(prefix, "tracked.bin")?;
    let main = runtime.gc_lists.iter().filter(|list| list.interpreter == 0);
    for list in main.filter(|list| list.generation != Generation::Permanent) {
        out.write(&list.objects)?;
    }
    out.finish()?;

    let path = with_extension(prefix, "malloc.txt");
    std::fs::write(&path, malloc_text(&figures.pymalloc))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The allocator's figures, in the words of `sys._debugmallocstats()`.
fn malloc_text(figures: &PymallocFigures) -> String {
    let mut text = String::from("class   size   num pools   blocks in use  avail blocks\n");
    text.push_str("-----   ----   ---------   -------------  ------------\n");
    for (index, class) in figures.classes.iter().enumerate() {
        if class.pools > 0 {
            text.push_str(&format!(
                "{index:5} {:6} {:11} {:15} {:13}\n",
                class.block_size, class.pools, class.live_blocks, class.free_blocks
            ));
        }
    }
    let used: u64 = figures.classes.iter().map(|class| class.pools).sum();
    text.push_str(&format!("\n# arenas in use = {}\n", figures.arenas));
    text.push_str(&format!("# pools in use = {used}\n# free pools = {}\n", figures.free_pools));
    text.push_str(&format!("# blocks allocated = {}\n", figures.allocated_blocks()));
    text
}

/// `PREFIX.extension`; the prefix keeps what looks like an extension of its own.
fn with_extension(prefix: &Path, extension: &str) -> PathBuf {
    let mut path = prefix.as_os_str().to_owned();
    path.push(".");
    path.push(extension);
    PathBuf::from(path)
}

/// A file of u64 words.
struct Words {
    file: BufWriter<File>,
    name: String,
}

impl Words {
    fn create(prefix: &Path, extension: &str) -> anyhow::Result<Self> {
        let path = with_extension(prefix, extension);
        let name = path.display().to_string();
        let file = File::create(&path).with_context(|| format!("cannot write {name}"))?;
        Ok(Self { file: BufWriter::with_capacity(1 << 20, file), name })
    }

    fn write(&mut self, words: &[u64]) -> anyhow::Result<()> {
        words
            .iter()
            .try_for_each(|word| self.file.write_all(&word.to_le_bytes()))
            .with_context(|| format!("cannot write {}", self.name))
    }

    fn finish(mut self) -> anyhow::Result<()> {
        self.file.flush().with_context(|| format!("cannot write {}", self.name))
    }
}
