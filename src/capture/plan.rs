//! Which memory a core needs, and when it must be read. Knows the kernel's own choice (Linux, fs/coredump.c,
//! `vma_dump_size`, with the default filter); refuses to read anything.
//!
//! What the process can change is copied while it stands still. What comes from files and was never changed can be read
//! afterwards as well, and mostly need not be read at all, since the file has it.

use super::mappings::{Details, Mapping};
use super::pages::Wanted;
use crate::corefile::NewSegment;

/// A mapping of a file up to this size is copied whole once a page of it is the process' own, as the kernel does: the rest
/// may come from a file that nobody has later. Of larger ones only the process' own pages are copied.
const MOST_WHOLE: u64 = 64 << 20;
/// Untouched memory counts as zeros in the core up to this size of a mapping; larger reservations, which would make the file
/// larger than file systems allow, are written as the parts that are in use.
const MOST_SPARSE: u64 = 64 << 30;
/// Parts in use that are no farther apart become one.
const NEAR: u64 = 1 << 20;

/// What pages that the process has never touched stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// Zeros.
    Zero,
    /// Whatever is read there.
    Read,
}

/// Memory to copy while the process stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    /// Index of the segment, whose first byte is the range's.
    pub(super) segment: usize,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) absent: Absent,
}

/// A mapping of a file that can wait until the process runs again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deferred {
    /// Index of its segment, which has no bytes yet.
    pub(super) segment: usize,
    pub(super) mapping: Mapping,
}

/// The segments of the core to be.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// In address order, the deferred ones behind all others: how many bytes those have is not known before the end.
    pub(super) segments: Vec<NewSegment>,
    pub(super) ranges: Vec<Range>,
    pub(super) deferred: Vec<Deferred>,
}

/// Finds the pages of a mapping that are wanted, as ranges of addresses.
type FindRuns<'a> = &'a dyn Fn(&Mapping, Wanted) -> Vec<(u64, u64)>;

/// What is to be done with a mapping.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    /// It is not the process' memory.
    Skip,
    /// It is noted, without bytes.
    Empty,
    Copy(Absent),
    /// Only these parts are copied.
    Parts(Vec<(u64, u64)>, Absent),
    Defer,
}

/// Chooses for each mapping. `details` are from before the process stood still, and are believed where nothing has changed
/// since. `runs` finds the pages of a mapping that are of interest, as ranges of addresses.
pub(super) fn plan(mappings: &[Mapping], details: &[Details], runs: FindRuns<'_>) -> Plan {
    let known = Known::new(details);
    let mut plan = Plan::default();
    let mut deferred = Vec::new();
    for mapping in mappings {
        match choice(mapping, &known, runs) {
            Choice::Skip => {}
            Choice::Empty => plan.push(mapping, mapping.start, mapping.end, None),
            Choice::Copy(absent) => plan.push(mapping, mapping.start, mapping.end, Some(absent)),
            Choice::Parts(parts, absent) => plan.push_parts(mapping, &parts, absent),
            Choice::Defer => deferred.push(mapping.clone()),
        }
    }
    for mapping in deferred {
        plan.deferred.push(Deferred { segment: plan.segments.len(), mapping: mapping.clone() });
        plan.push(&mapping, mapping.start, mapping.end, None);
    }
    plan
}

impl Plan {
    fn push(&mut self, mapping: &Mapping, start: u64, end: u64, copied: Option<Absent>) {
        let memsz = end - start;
        if let Some(absent) = copied {
            self.ranges.push(Range { segment: self.segments.len(), start, end, absent });
        }
        let filesz = if copied.is_some() { memsz } else { 0 };
        self.segments.push(NewSegment { vaddr: start, memsz, filesz, flags: mapping.flags, apart: false });
    }

    fn push_parts(&mut self, mapping: &Mapping, parts: &[(u64, u64)], absent: Absent) {
        let mut at = mapping.start;
        for &(start, end) in joined(parts).iter().filter(|(start, end)| start < end) {
            if at < start {
                self.push(mapping, at, start, None);
            }
            self.push(mapping, start, end, Some(absent));
            at = end;
        }
        if at < mapping.end {
            self.push(mapping, at, mapping.end, None);
        }
    }
}

/// Parts with those that are near each other made one.
fn joined(parts: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for &(start, end) in parts {
        match joined.last_mut() {
            Some(last) if start.saturating_sub(last.1) <= NEAR => last.1 = end,
            _ => joined.push((start, end)),
        }
    }
    joined
}

fn choice(mapping: &Mapping, known: &Known<'_>, runs: FindRuns<'_>) -> Choice {
    if mapping.is_of_kernel() {
        return Choice::Skip;
    }
    if mapping.is_of_device() || known.is_left_out(mapping) {
        return Choice::Empty;
    }
    let details = known.of(mapping);
    if !mapping.has_file() {
        // Nobody can have written since to what nobody may write to.
        let reserved = mapping.flags == 0 && details.is_some_and(|details| details.resident == 0);
        return match () {
            () if reserved => Choice::Empty,
            () if mapping.len() > MOST_SPARSE => Choice::Parts(runs(mapping, Wanted::Resident), Absent::Zero),
            () => Choice::Copy(Absent::Zero),
        };
    }
    let wanted = match (mapping.shared, mapping.is_deleted()) {
        (true, false) => return Choice::Empty,
        (true, true) => Wanted::Resident,
        (false, _) if !mapping.is_writable() && details.is_some_and(|details| details.anonymous == 0) => {
            return Choice::Defer;
        }
        (false, _) => Wanted::Own,
    };
    let parts = runs(mapping, wanted);
    match parts.is_empty() {
        true if mapping.shared => Choice::Empty,
        true => Choice::Defer,
        false if mapping.len() <= MOST_WHOLE => Choice::Copy(Absent::Read),
        false => Choice::Parts(parts, Absent::Read),
    }
}

/// What was known before the process stood still, in address order.
struct Known<'a> {
    details: &'a [Details],
}

impl<'a> Known<'a> {
    fn new(details: &'a [Details]) -> Self {
        Known { details }
    }

    /// What overlaps a mapping.
    fn overlapping(&self, mapping: &Mapping) -> impl Iterator<Item = &'a Details> {
        let (start, end) = (mapping.start, mapping.end);
        let first = self.details.partition_point(|details| details.mapping.end <= start);
        let rest = self.details.get(first..).unwrap_or_default();
        rest.iter().take_while(move |details| details.mapping.start < end)
    }

    /// What was known of exactly this mapping.
    fn of(&self, mapping: &Mapping) -> Option<&'a Details> {
        self.overlapping(mapping).find(|details| details.mapping == *mapping)
    }

    /// Whether the process asked for it to be left out. It may have grown since.
    fn is_left_out(&self, mapping: &Mapping) -> bool {
        self.overlapping(mapping).any(|details| details.left_out && details.mapping.path == mapping.path)
    }
}

#[cfg(test)]
mod tests {
    use super::super::mappings::{parse_maps, parse_smaps};
    use super::*;

    type Find = fn(&Mapping, Wanted) -> Vec<(u64, u64)>;

    const NONE: Find = |_, _| Vec::new();

    fn choices(maps: &str, smaps: &str, runs: FindRuns<'_>) -> Vec<Choice> {
        let details = parse_smaps(smaps.as_bytes());
        let mappings = parse_maps(maps.as_bytes()).unwrap();
        mappings.iter().map(|mapping| choice(mapping, &Known::new(&details), runs)).collect()
    }

    #[test]
    fn memory_without_a_file_is_copied() {
        let maps = "1000-2000 rw-p 00000000 00:00 0 [heap]\n2000-3000 r--p 00000000 00:00 0 \n\
                    3000-4000 ---p 00000000 00:00 0 \n5000-6000 r-xp 00000000 00:00 0 [vdso]\n\
                    6000-7000 r--p 00000000 00:00 0 [vvar]\n";
        let copy = || Choice::Copy(Absent::Zero);
        assert_eq!(choices(maps, "", &NONE), [copy(), copy(), copy(), copy(), Choice::Skip]);
    }

    #[test]
    fn reservations_are_noted_and_nothing_more() {
        let line = "3000-4000 ---p 00000000 00:00 0 \n";
        assert_eq!(choices(line, &format!("{line}Rss: 0 kB\nSwap: 0 kB\n"), &NONE), [Choice::Empty]);
        for used in ["Rss: 4 kB\n", "Rss: 0 kB\nSwap: 4 kB\n"] {
            assert_eq!(choices(line, &format!("{line}{used}"), &NONE), [Choice::Copy(Absent::Zero)]);
        }
        // It has been given permissions since.
        let now = "3000-4000 rw-p 00000000 00:00 0 \n";
        assert_eq!(choices(now, &format!("{line}Rss: 0 kB\n"), &NONE), [Choice::Copy(Absent::Zero)]);
        let parts: Find = |_, _| vec![(0x2000, 0x3000)];
        let huge = choices("1000-2000000001000 rw-p 00000000 00:00 0 \n", "", &parts);
        assert_eq!(huge, [Choice::Parts(vec![(0x2000, 0x3000)], Absent::Zero)]);
    }

    #[test]
    fn files_are_copied_where_the_process_has_written() {
        let text = "1000-2000 r-xp 00000000 fe:00 5 /a\n";
        let data = "2000-3000 rw-p 00001000 fe:00 5 /a\n";
        let relocated = "3000-4000 r--p 00002000 fe:00 5 /a\n";
        let smaps = format!("{text}Anonymous: 0 kB\n{data}Anonymous: 0 kB\n{relocated}Anonymous: 4 kB\n");
        let written: Find = |mapping, wanted| {
            assert_eq!(wanted, Wanted::Own);
            assert_ne!(mapping.start, 0x1000, "what cannot change is not looked at again");
            vec![(mapping.start, mapping.end)]
        };
        let maps = format!("{text}{data}{relocated}");
        let copy = || Choice::Copy(Absent::Read);
        assert_eq!(choices(&maps, &smaps, &written), [Choice::Defer, copy(), copy()]);
        assert_eq!(choices(data, "", &NONE), [Choice::Defer]);
        let large = "10000000-20000000 rw-p 00000000 fe:00 5 /a\n";
        let parts = Choice::Parts(vec![(0x1000_0000, 0x2000_0000)], Absent::Read);
        assert_eq!(choices(large, "", &written), [parts]);
    }

    #[test]
    fn shared_memory_is_copied_if_no_file_has_it() {
        let all: Find = |mapping, _| vec![(mapping.start, mapping.end)];
        let named = "1000-2000 rw-s 00000000 fe:00 5 /dev/shm/a\n";
        let unnamed = "1000-2000 rw-s 00000000 00:01 5 /dev/zero (deleted)\n";
        assert_eq!(choices(named, "", &all), [Choice::Empty]);
        assert_eq!(choices(unnamed, "", &all), [Choice::Copy(Absent::Read)]);
        assert_eq!(choices(unnamed, "", &NONE), [Choice::Empty]);
        assert_eq!(choices("1000-2000 rw-s 00000000 00:05 5 /dev/dri/card0\n", "", &all), [Choice::Empty]);
    }

    #[test]
    fn what_is_to_be_left_out_is_left_out_when_it_has_grown() {
        let smaps = "1000-2000 rw-p 00000000 00:00 0 \nVmFlags: rd wr dd\n";
        assert_eq!(choices("1000-5000 rw-p 00000000 00:00 0 \n", smaps, &NONE), [Choice::Empty]);
        assert_eq!(choices("2000-5000 rw-p 00000000 00:00 0 \n", smaps, &NONE), [Choice::Copy(Absent::Zero)]);
    }

    #[test]
    fn segments_cover_each_mapping_once_and_deferred_ones_come_last() {
        let maps = "1000-2000 r-xp 00000000 fe:00 5 /a\n4000-5000 rw-p 00000000 00:00 0 \n\
                    10000000-20000000 rw-p 00000000 fe:00 6 /b\n";
        let runs: Find = |mapping, _| match mapping.start {
            0x1000 => Vec::new(),
            _ => vec![(0x1000_0000, 0x1000_1000), (0x1000_3000, 0x1000_4000), (0x1800_0000, 0x1800_1000)],
        };
        let plan = plan(&parse_maps(maps.as_bytes()).unwrap(), &[], &runs);
        let segments: Vec<_> = plan.segments.iter().map(|s| (s.vaddr, s.memsz, s.filesz)).collect();
        assert_eq!(
            segments,
            [
                (0x4000, 0x1000, 0x1000),
                (0x1000_0000, 0x4000, 0x4000),
                (0x1000_4000, 0x7ff_c000, 0),
                (0x1800_0000, 0x1000, 0x1000),
                (0x1800_1000, 0x7ff_f000, 0),
                (0x1000, 0x1000, 0),
            ]
        );
        assert_eq!(plan.ranges.iter().map(|range| range.segment).collect::<Vec<_>>(), [0, 1, 3]);
        assert_eq!(plan.deferred.iter().map(|deferred| deferred.segment).collect::<Vec<_>>(), [5]);
    }
}
