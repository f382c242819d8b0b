//! What is read of mapped files when the process runs again. Knows which files a reader of the core will not find; refuses to
//! take anything that may not be what was there while the process stood still.
//!
//! Of every file the first page is kept if it is an ELF header, as in the kernel's cores: the build-id is found through it.
//! Programs and libraries whose file has no name any more, or another one's content, are kept whole.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use super::copy::Memory;
use super::error::CaptureError;
use super::mappings::{Mapping, parse_maps};
use super::plan::{Deferred, Plan};
use super::{Target, process, with_bytes};
use crate::corefile::{CoreLayout, NewNote};

/// The first bytes of an ELF file.
const ELF_MAGIC: &[u8] = b"\x7fELF";
/// Bytes of a file's first page that are kept: as many as there is in a page of any machine.
const HEADER: u64 = 4096;
/// Bytes read at a time.
const BUFFER: u64 = 1 << 20;
/// Most bytes of files that are kept whole: far more than all code of a process.
const MOST_WHOLE: u64 = 4 << 30;

/// The mapped files of a process.
pub(super) struct Files<'a> {
    pub(super) target: &'a Target,
    pub(super) mappings: &'a [Mapping],
}

/// What tells one file from another.
type Identity<'a> = (&'a [u8], u64);

fn identity(mapping: &Mapping) -> Identity<'_> {
    (&mapping.device, mapping.inode)
}

impl Files<'_> {
    /// Reads what is to be kept behind everything else that the file has, and notes it in the plan's segments. Returns the
    /// number of bytes. That the process is gone or has changed is no error: there is less in the core then.
    pub(super) fn read(&self, plan: &mut Plan, notes: &[NewNote], into: &File) -> Result<u64, CaptureError> {
        let memory = Memory::open(self.target.pid);
        let programs = self.programs(plan, &memory);
        let lost: BTreeSet<Identity<'_>> = self
            .mappings
            .iter()
            .filter(|mapping| programs.contains(&identity(mapping)) && !self.is_found(mapping))
            .map(identity)
            .collect();
        let deferred = std::mem::take(&mut plan.deferred);
        let layout = CoreLayout::new(self.target.machine, notes, &plan.segments);
        let mut offset = deferred.first().and_then(|first| layout.offset_of(first.segment)).unwrap_or(0);
        let mut total = 0;
        for Deferred { segment, mapping } in &deferred {
            let wanted = match () {
                () if lost.contains(&identity(mapping)) && mapping.is_readable() => mapping.len(),
                () if programs.contains(&identity(mapping)) && mapping.offset == 0 => {
                    HEADER.min(mapping.len())
                }
                () => continue,
            };
            if total + wanted > MOST_WHOLE {
                continue;
            }
            let kept = self.copy(&memory, mapping.start, wanted, into, offset)?;
            if let Some(segment) = plan.segments.get_mut(*segment) {
                *segment = with_bytes(*segment, kept);
            }
            // Segments without bytes take no room, and those before this one have as many as they will ever have.
            offset = CoreLayout::behind(offset, kept);
            total += kept;
        }
        if !self.are_still_there(&deferred) {
            for Deferred { segment, .. } in &deferred {
                if let Some(segment) = plan.segments.get_mut(*segment) {
                    *segment = with_bytes(*segment, 0);
                }
            }
            total = 0;
        }
        Ok(total)
    }

    /// The files that are programs or libraries, by the first bytes of their first page.
    fn programs(&self, plan: &Plan, memory: &Memory) -> BTreeSet<Identity<'_>> {
        let deferred: BTreeSet<u64> = plan.deferred.iter().map(|deferred| deferred.mapping.start).collect();
        let firsts = self.mappings.iter().filter(|mapping| {
            mapping.offset == 0 && mapping.is_readable() && deferred.contains(&mapping.start)
        });
        let is_program = |mapping: &&Mapping| {
            let mut magic = [0; ELF_MAGIC.len()];
            let range = (mapping.start, mapping.start.saturating_add(magic.len() as u64));
            memory.read(&[range], &mut magic).is_ok() && magic == ELF_MAGIC
        };
        firsts.filter(is_program).map(identity).collect()
    }

    /// Whether a reader who looks where the process would finds this very file.
    fn is_found(&self, mapping: &Mapping) -> bool {
        let seen = OsStr::from_bytes(self.target.seen(&mapping.path));
        let mut path = PathBuf::from(format!("/proc/{}/root", self.target.pid)).into_os_string();
        path.push(seen);
        std::fs::metadata(path).is_ok_and(|found| found.ino() == mapping.inode)
    }

    /// Copies memory as far as it can be read.
    fn copy(
        &self,
        memory: &Memory,
        start: u64,
        length: u64,
        into: &File,
        offset: u64,
    ) -> Result<u64, CaptureError> {
        let mut buffer = vec![0; length.min(BUFFER) as usize];
        let mut done = 0;
        while done < length {
            let part = (length - done).min(BUFFER);
            let at = start + done;
            let Some(bytes) = buffer.get_mut(..part as usize) else { break };
            // Pages behind the end of the file cannot be read; nobody misses them.
            match memory.read(&[(at, at + part)], bytes) {
                Ok(unreadable) if unreadable < part => {
                    let write = |source| CaptureError::Write { source };
                    into.write_all_at(bytes, offset + done).map_err(write)?;
                }
                _ => break,
            }
            done += part;
        }
        Ok(done)
    }

    /// Whether it is still the same process, with the same files in the same places.
    fn are_still_there(&self, deferred: &[Deferred]) -> bool {
        if self.target.stat().is_err() {
            return false;
        }
        let Ok(now) =
            process::read(self.target.pid, "maps").map(|text| parse_maps(&text).unwrap_or_default())
        else {
            return false;
        };
        let now: BTreeSet<_> = now.iter().map(|m| (m.start, m.end, m.offset, identity(m))).collect();
        deferred
            .iter()
            .all(|Deferred { mapping: m, .. }| now.contains(&(m.start, m.end, m.offset, identity(m))))
    }
}
