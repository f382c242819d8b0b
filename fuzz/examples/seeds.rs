//! Writes the inputs to begin with: `fuzz/corpus/TARGET/seed-N`, beside what a fuzzer has added.

use exuvia::testkit::hostile::{Target, seeds};
use std::path::Path;

fn main() -> std::io::Result<()> {
    for target in Target::ALL {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name());
        std::fs::create_dir_all(&directory)?;
        for (number, input) in seeds::of(target).into_iter().enumerate() {
            std::fs::write(directory.join(format!("seed-{number}")), input)?;
        }
    }
    Ok(())
}
