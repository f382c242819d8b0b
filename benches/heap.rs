//! The pipeline on a committed core: census, references, detector, suspects.
//!
//! For another heap: `HEAP_BENCH_CORE=core cargo bench --bench heap` (with its interpreter's files in place).

#![allow(missing_docs, reason = "criterion_group! makes an undocumented function")]

use criterion::{Criterion, criterion_group, criterion_main};
use exuvia::analysis::collect;
use exuvia::corefile::{Inputs, SearchOptions};
use exuvia::cpython::Runtime;
use exuvia::heap::{build_graph, census};
use std::hint::black_box;
use std::path::{Path, PathBuf};

fn heap(criterion: &mut Criterion) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cores/3.12.1-service");
    let core = std::env::var_os("HEAP_BENCH_CORE").map_or_else(|| fixture.join("core.zst"), PathBuf::from);
    let inputs = Inputs::open(&core, &SearchOptions::default()).expect("the core opens");
    let mut runtime = Runtime::open(&inputs, None).expect("its interpreter is decoded");
    let objects = census(&mut runtime).expect("its objects are counted").counted.objects;
    let graph = build_graph(&runtime, &objects).expect("it is small enough for a graph");

    let mut group = criterion.benchmark_group(format!("{} objects", objects.len()));
    group.sample_size(10);
    group.bench_function("open", |bencher| {
        bencher.iter(|| Runtime::open(&inputs, None).map(|runtime| runtime.types.len()));
    });
    group.bench_function("census", |bencher| {
        bencher.iter(|| census(&mut runtime).map(|census| census.objects.len()));
    });
    group.bench_function("references", |bencher| {
        bencher.iter(|| build_graph(&runtime, &objects).map(|graph| graph.forward.edges()));
    });
    group.bench_function("detector", |bencher| {
        bencher.iter(|| black_box(collect(&runtime, &objects, &graph).unreachable.len()));
    });
    group.finish();
}

criterion_group!(benches, heap);
criterion_main!(benches);
