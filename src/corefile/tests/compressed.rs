//! Compressed cores: each format whole, in several frames, cut off and damaged, and files with a table of their frames.

use std::io::Write;

use super::super::{CoreError, CoreFile, Inputs, SearchOptions, SeekableWriter, Stop, decompress};
use super::{Scene, refusal};
use crate::testkit::compressors::{Compressor, FORMATS, lz4_legacy, zstd_streamed};
use crate::testkit::core_builder::{CoreBuilder, READ, WRITE};

/// Memory with text, pages of zeros, and a zero tail.
fn memory() -> Vec<u8> {
    let mut memory: Vec<u8> =
        (0..40_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    memory.resize(memory.len() + 1_500_000, 0);
    memory.extend(b"behind the hole");
    memory.resize(memory.len() + 70_001, 0);
    memory
}

fn core() -> Vec<u8> {
    CoreBuilder::new().segment(0x10000, READ | WRITE, &memory()).build()
}

/// A core of bytes that do not compress well.
fn large_core() -> Vec<u8> {
    let noise = (0..900_000u64).flat_map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20).to_le_bytes());
    CoreBuilder::new().segment(0x10000, READ | WRITE, &noise.collect::<Vec<u8>>()).build()
}

/// Opens a file as a core, and returns it with its bytes.
fn open(file: &[u8]) -> (CoreFile, Vec<u8>) {
    let scene = Scene::new();
    let core = CoreFile::open(&scene.write("core", file)).unwrap();
    let bytes = core.bytes().to_vec();
    (core, bytes)
}

fn unpacked(file: &[u8]) -> Result<Vec<u8>, (Vec<u8>, String)> {
    let mut output = Vec::new();
    match decompress(file, &mut output) {
        Ok(()) => Ok(output),
        Err(Stop::Damaged(reason) | Stop::TooLarge(reason)) => Err((output, reason)),
        Err(Stop::Output(error)) => panic!("{error}"),
    }
}

fn seekable(content: &[u8], piece: usize) -> Vec<u8> {
    let mut writer = SeekableWriter::new(Vec::new(), 3);
    content.chunks(piece).for_each(|piece| writer.write_all(piece).unwrap());
    writer.finish().unwrap()
}

#[test]
fn a_compressed_core_reads_like_the_plain_one() {
    let (memory, core) = (memory(), core());
    for Compressor { name, compress } in FORMATS {
        let inputs = Scene::new().open(&compress(&core));
        assert_eq!(inputs.core().size(), core.len() as u64, "{name}");
        assert_eq!((inputs.core().truncation(), inputs.core().damage()), (None, None), "{name}");
        assert_eq!(inputs.space().slice(0x10000, memory.len()), Ok(&memory[..]), "{name}");
    }
    assert_eq!(unpacked(&lz4_legacy(&core)), Ok(core));
}

#[test]
fn frames_follow_each_other_and_skippable_ones_are_skipped() {
    let core = core();
    let (first, second) = core.split_at(core.len() / 3);
    for Compressor { name, compress } in FORMATS {
        let mut file = compress(first);
        if ["zstd", "lz4"].contains(&name) {
            file.extend([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0]);
            file.extend(b"abc");
        }
        if ["gzip", "xz"].contains(&name) {
            file.extend([0; 512]);
        }
        file.extend(compress(second));
        assert_eq!(unpacked(&file).as_ref(), Ok(&core), "{name}");
        assert_eq!(open(&file).1, core, "{name}");
    }
    let parallel = [&[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0], &zstd_streamed(&core)[..]].concat();
    assert_eq!(open(&parallel).1, core, "a skippable frame first");
}

#[test]
fn a_cut_core_is_used_as_far_as_it_goes_and_the_cut_is_told() {
    let core = large_core();
    for Compressor { name, compress } in FORMATS {
        let whole = compress(&core);
        let mut before = 0;
        for missing in [4, 5, 0] {
            let cut = whole.len() - whole.len().checked_div(missing).unwrap_or(3);
            let (opened, bytes) = open(&whole[..cut]);
            let damage = opened.damage().unwrap_or_else(|| panic!("{name}: {cut}"));
            assert_eq!(damage.decoded, bytes.len() as u64, "{name}");
            assert!(damage.reason.contains("cut off"), "{name}: {}", damage.reason);
            assert!(core.starts_with(&bytes) && bytes.len() >= before, "{name}: {} bytes", bytes.len());
            // What is lost besides is a block of the format: 4 MiB of lz4.
            let lost = core.len() - bytes.len();
            assert!(missing > 0 || lost <= 4 << 20, "{name}: {lost}");
            assert!(bytes.len() > core.len() / 20, "{name}: {}", bytes.len());
            before = bytes.len();
        }
    }
}

#[test]
fn damage_in_the_middle_keeps_what_is_before_it() {
    let core = large_core();
    for Compressor { name, compress } in FORMATS {
        let mut file = compress(&core);
        let middle = file.len() / 2;
        file[middle..][..64].fill(0xff);
        let Err((bytes, reason)) = unpacked(&file) else { panic!("{name}") };
        // A format without a checksum of each block gives a few wrong bytes before it notices.
        let right = bytes.iter().zip(&core).take_while(|(a, b)| a == b).count();
        assert!(right > core.len() / 5, "{name}: {right} of {}", bytes.len());
        assert!(reason.starts_with(name.split(' ').next().unwrap()), "{name}: {reason}");
    }
}

#[test]
fn a_wrong_checksum_at_the_end_is_told_and_loses_nothing() {
    let core = core();
    for Compressor { name, compress } in FORMATS {
        let mut file = compress(&core);
        let at = match name {
            // CRC-32 before the size; the check before the index and the footer.
            "gzip" => file.len() - 8,
            "xz" => {
                let index = u32::from_le_bytes(file[file.len() - 8..][..4].try_into().unwrap());
                file.len() - 12 - 4 * (index as usize + 1) - 1
            }
            _ => file.len() - 1,
        };
        file[at] ^= 1;
        let (opened, bytes) = open(&file);
        assert_eq!(bytes.len(), core.len(), "{name}");
        assert_eq!(bytes, core, "{name}");
        assert_eq!(opened.truncation(), None, "{name}");
        assert_eq!(opened.damage().map(|damage| damage.decoded), Some(core.len() as u64), "{name}");
    }
}

#[test]
fn what_follows_a_frame_must_be_one() {
    let core = core();
    for Compressor { name, compress } in FORMATS {
        let file = [&compress(&core)[..], b"garbage"].concat();
        let (bytes, reason) = unpacked(&file).unwrap_err();
        assert_eq!(bytes, core, "{name}");
        assert!(reason.contains(&format!("at byte {}", file.len() - 7)), "{reason}");
        let padded = [&compress(&core)[..], &[0; 1025]].concat();
        assert_eq!(unpacked(&padded).as_ref(), Ok(&core), "{name}");
    }
}

#[test]
fn too_little_to_be_of_use_is_an_error() {
    for Compressor { name, compress } in FORMATS {
        let whole = compress(&core());
        let error = refusal(&whole[..12]);
        assert!(matches!(error, CoreError::Decompress { .. }), "{name}: {error}");
        assert!(!error.to_string().contains('\n'), "{error}");
        let error = refusal(&compress(b""));
        assert!(matches!(error, CoreError::Empty { .. }), "{name}: {error}");
        let error = refusal(&compress(b"text that is no core"));
        assert!(matches!(error, CoreError::NotElf { .. }), "{name}: {error}");
    }
}

#[test]
fn a_window_of_terabytes_is_refused_not_allocated() {
    // Window descriptors of exponent 30, 1 TiB, of exponent 31 and mantissa 7, 3.75 TiB, and of 256 MiB
    // (RFC 8878, section 3.1.1.1.2).
    let refused =
        |descriptor: u8| refusal(&[0x28, 0xb5, 0x2f, 0xfd, 0x00, descriptor, 0x01, 0x00, 0x00]).to_string();
    let error = refused(0xf0);
    assert!(error.contains("window of 1099511627776 bytes is more than the 134217728"), "{error}");
    assert!(error.contains("`zstd -d --long=40`"), "{error}");
    assert!(refused(0xff).contains("window of 4123168604160 bytes"));
    assert!(refused(0x90).contains("--long=28"));
    // A single segment of 2^40 bytes.
    let single = [0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 1, 0, 0, 0x01, 0x00, 0x00];
    assert!(refusal(&single).to_string().contains("window of 1099511627776 bytes"));
}

#[test]
fn an_xz_dictionary_beyond_the_bound_is_refused() {
    use liblzma::stream::{Check, Filters, LzmaOptions, Stream};
    let packed = |dictionary: u32| {
        let mut options = LzmaOptions::new_preset(0).unwrap();
        options.dict_size(dictionary);
        let mut filters = Filters::new();
        filters.lzma2(&options);
        let stream = Stream::new_stream_encoder(&filters, Check::Crc32).unwrap();
        let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
        encoder.write_all(&core()).unwrap();
        encoder.finish().unwrap()
    };
    assert_eq!(unpacked(&packed(128 << 20)), Ok(core()));
    let mut file = packed(128 << 20);
    // The dictionary's size in the block header (.xz format, section 5.3.1), and the header's checksum.
    let at = 12 + 4;
    assert_eq!(file[at], 30, "2^27 bytes");
    file[at] = 32;
    let mut crc = flate2::Crc::new();
    crc.update(&file[12..12 + 8]);
    file[12 + 8..][..4].copy_from_slice(&crc.sum().to_le_bytes());
    let error = refusal(&file).to_string();
    assert!(error.contains("dictionary is larger than") && error.contains("`xz -d`"), "{error}");
}

#[test]
fn what_a_seekable_writer_writes_is_a_zstd_file() {
    let content = [large_core(), memory(), vec![0; 9 << 20]].concat();
    let file = seekable(&content, 1 << 20);
    let mut decoded = Vec::new();
    std::io::copy(&mut zstd::stream::read::Decoder::new(&file[..]).unwrap(), &mut decoded).unwrap();
    assert!(decoded == content);
    assert_eq!(unpacked(&file).map(|bytes| bytes == content), Ok(true));
    let (opened, bytes) = open(&file);
    assert!(bytes == content && opened.damage().is_none());
    assert!(unpacked(&seekable(b"", 1)) == Ok(Vec::new()));
    // The table as the format describes it: three and more frames of 4 MiB, the last one with the rest.
    let frames = content.len().div_ceil(4 << 20);
    let table = &file[file.len() - (8 + frames * 8 + 9)..];
    assert_eq!(table[..4], [0x5e, 0x2a, 0x4d, 0x18]);
    assert_eq!(table[4..8], (frames as u32 * 8 + 9).to_le_bytes());
    let entries: Vec<[u32; 2]> = table[8..8 + frames * 8]
        .chunks(8)
        .map(|entry| [&entry[..4], &entry[4..]].map(|n| u32::from_le_bytes(n.try_into().unwrap())))
        .collect();
    assert_eq!(entries[0][1], 4 << 20);
    assert_eq!(entries.iter().map(|entry| entry[1] as usize).sum::<usize>(), content.len());
    assert_eq!(entries.iter().map(|entry| entry[0] as usize).sum::<usize>(), file.len() - table.len());
    assert_eq!(
        table[8 + frames * 8..],
        [&(frames as u32).to_le_bytes()[..], &[0], &[0xb1, 0xea, 0x92, 0x8f]].concat()
    );
}

#[test]
fn a_seekable_file_depends_on_its_content_only() {
    let content = [large_core(), memory()].concat();
    let one = seekable(&content, content.len());
    assert!(one == seekable(&content, 4097));
    let with_threads = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| seekable(&content, 123_457))
    };
    assert!(one == with_threads(1) && one == with_threads(5));
}

#[test]
fn tables_that_lie_are_not_believed() {
    let content = large_core();
    let file = seekable(&content, 1 << 20);
    let frames = content.len().div_ceil(4 << 20);
    let entries = file.len() - 9 - frames * 8;
    let mut lies: Vec<(usize, u8)> =
        vec![(file.len() - 9, 1), (file.len() - 9, 0xff), (file.len() - 6, 0xff)];
    lies.extend([(file.len() - 5, 0x80), (file.len() - 5, 0x04), (entries - 8, 1), (entries - 4, 1)]);
    lies.extend((0..frames * 8).map(|at| (entries + at, if at % 2 == 0 { 1 } else { 0x80 })));
    for (at, bits) in lies {
        let mut file = file.clone();
        file[at] ^= bits;
        let (opened, bytes) = open(&file);
        assert!(bytes == content, "byte {at} changed by {bits:#x}: {:?}", opened.damage());
    }
    // A damaged frame: both ways end in the same bytes.
    let mut damaged = file.clone();
    damaged[file.len() / 2] ^= 0x40;
    let (opened, bytes) = open(&damaged);
    let (streamed, reason) = unpacked(&damaged).unwrap_err();
    assert!(bytes == streamed);
    assert_eq!(opened.damage().map(|damage| damage.reason.clone()), Some(reason));
}

#[test]
fn a_module_file_that_is_compressed_is_not_unpacked() {
    let scene = Scene::new();
    let file = zstd_streamed(&core());
    let path = scene.write("core.zst", &file);
    assert_eq!(super::super::MappedFile::open_as_is(&path).unwrap().bytes(), file);
    let inputs = Inputs::open(&path, &SearchOptions::default()).unwrap();
    assert_eq!(inputs.core().path(), path);
    assert!(inputs.core().is_repeatable() && inputs.core().modified().is_some());
}
