//! Options of `suspects`.

use crate::query::{Condition, parse_share, parse_size};
use clap::Args;
use std::path::PathBuf;

/// Shown below the options.
pub const EXAMPLES: &str = "Conditions of --fail-if, each with > or >=:
  retained>500MB          some suspect keeps more (B, KB, MB, GB, TB; KiB, MiB, GiB, TiB)
  retained(OBJECT)>1GiB   so much would be freed with the object, named by address or Python path
  share>20%               some suspect keeps a larger share of the heap
  suspects>0              there are more suspects
  garbage>10MB            a full collection would free more
  heap>2GiB               all objects together are larger
  objects(TYPE)>10000     there are more instances
  bytes(TYPE)>100MB       these are larger

Least size and share of a suspect, both needed, unless --min-bytes or --min-share say otherwise:
  named by application code        32 KiB, 0.5%
  garbage                          256 KiB, 0.5%
  named by the standard library,   1 MiB, 2%
  variables, and large objects
  without other evidence

Examples:
  exuvia suspects core.4242
  exuvia suspects core.4242 --fail-if 'retained>500MB' --fail-if 'objects(app.cache.Entry)>10000'";

/// `suspects`.
#[derive(Debug, Args)]
pub struct SuspectsArguments {
    /// Core file, plain or compressed (zstd, lz4, gzip, xz); `-` reads standard input
    #[arg(value_name = "CORE")]
    pub core: PathBuf,

    /// Least share of the heap that a suspect keeps, such as 5%
    #[arg(long, value_name = "PERCENT", value_parser = parse_share, allow_negative_numbers = true)]
    pub min_share: Option<u32>,

    /// Least bytes that a suspect keeps, such as 10MB
    #[arg(long, value_name = "SIZE", value_parser = parse_size, allow_negative_numbers = true)]
    pub min_bytes: Option<u64>,

    /// Exit with status 1 if this holds, for checks; may be given several times
    #[arg(long, value_name = "CONDITION", value_parser = Condition::parse)]
    pub fail_if: Vec<Condition>,
}
