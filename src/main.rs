//! The `exuvia` program: hands the command line to the library and maps its answer to an exit code.

fn main() -> anyhow::Result<()> {
    use exuvia::{corefile::*, cpython::Runtime};
    let args: Vec<String> = std::env::args().collect();
    let t = std::time::Instant::now();
    let lap = |what: &str| eprintln!("{what} {:?}", t.elapsed());
    let inputs = Inputs::open(args[1].as_ref(), &SearchOptions::default())?;
    lap("inputs");
    let mut runtime = Runtime::open(&inputs, None)?;
    lap("runtime");
    eprintln!(
        "{} types {} tracked",
        runtime.types.len(),
        runtime.gc_lists.iter().map(|l| l.objects.len()).sum::<usize>()
    );
    if let Some(prefix) = args.get(2) {
        return exuvia::cli::dump::dump(&mut runtime, prefix.as_ref());
    }
    let census = exuvia::heap::census(&mut runtime)?;
    lap("census");
    let graph = exuvia::heap::build_graph(&runtime, &census.objects)?;
    lap("graph");
    let garbage = exuvia::analysis::collect(&runtime, &census.objects, &graph);
    lap("collect");
    eprintln!(
        "{} objects {} bytes, gaps {:?}; {} edges dangling {} partial {}; garbage {} + {} held, neg {}",
        census.objects.len(),
        census.objects.total_size(),
        census.gaps,
        graph.forward.edges(),
        graph.dangling,
        graph.partial,
        garbage.unreachable.len(),
        garbage.held.len(),
        garbage.inconsistent
    );
    eprintln!("table {} graph {}", census.objects.bytes(), graph.forward.bytes());
    let s = std::fs::read_to_string("/proc/self/status")?;
    for l in s.lines().filter(|l| l.starts_with("VmHWM") || l.starts_with("RssAnon")) {
        eprintln!("{l}");
    }
    Ok(())
}
