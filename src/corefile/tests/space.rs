//! Reads of the address space.

use std::borrow::Cow;

use proptest::prelude::*;

use super::super::{AddressSpace, Inputs, Piece, PieceSource, ReadError};
use super::{Scene, page};
use crate::testkit::core_builder::{CoreBuilder, READ, WRITE};

fn piece(start: u64, bytes: &[u8]) -> Piece<'_> {
    Piece {
        start,
        len: bytes.len() as u64,
        bytes: Some(bytes),
        writable: true,
        executable: false,
        source: PieceSource::Core,
    }
}

#[test]
fn inputs_and_space_can_be_shared_between_threads() {
    fn shared<T: Sync + Send>() {}
    shared::<Inputs>();
    shared::<AddressSpace<'_>>();
}

#[test]
fn integers_are_little_endian() {
    let bytes = [0x01, 0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    let space = AddressSpace::from_pieces(vec![piece(0x1000, &bytes)]);
    assert_eq!(space.read_u8(0x1001), Ok(0x82));
    assert_eq!(space.read_u16(0x1000), Ok(0x8201));
    assert_eq!(space.read_u32(0x1000), Ok(0xffff_8201));
    assert_eq!(space.read_i32(0x1002), Ok(-1));
    assert_eq!(space.read_u64(0x1000), Ok(0xffff_ffff_ffff_8201));
    assert_eq!(space.read_i64(0x1000), Ok(-0x7dff));
}

#[test]
fn a_read_across_adjacent_pieces_is_put_together() {
    let (first, second) = ([1, 2, 3, 4], [5, 6, 7, 8]);
    let space = AddressSpace::from_pieces(vec![piece(0x1000, &first), piece(0x1004, &second)]);
    assert_eq!(space.read_u64(0x1000), Ok(0x0807_0605_0403_0201));
    assert_eq!(space.read_u32(0x1003), Ok(0x0706_0504));
    assert_eq!(space.read_bytes(0x1002, 4).unwrap().as_ref(), [3, 4, 5, 6]);
    assert!(matches!(space.read_bytes(0x1004, 4), Ok(Cow::Borrowed([5, 6, 7, 8]))));
    assert_eq!(space.slice(0x1002, 2), Ok(&[3, 4][..]));
    assert_eq!(space.slice(0x1002, 3), Err(ReadError::NotInCore(0x1004)));
}

#[test]
fn errors_name_the_first_missing_address() {
    let bytes = [0; 16];
    let absent = Piece { bytes: None, ..piece(0x1010, &bytes) };
    let space = AddressSpace::from_pieces(vec![piece(0x1000, &bytes), absent]);
    assert_eq!(space.read_u64(0xfff), Err(ReadError::Unmapped(0xfff)));
    assert_eq!(space.read_u64(0x100c), Err(ReadError::NotInCore(0x1010)));
    assert_eq!(space.read_u64(0x1010), Err(ReadError::NotInCore(0x1010)));
    assert_eq!(space.read_bytes(0x1000, usize::MAX), Err(ReadError::NotInCore(0x1010)));
    assert_eq!(space.slice(0x1008, 9), Err(ReadError::NotInCore(0x1010)));
    assert_eq!(space.peek_from(0x1020), Err(ReadError::Unmapped(0x1020)));
    assert!(space.is_mapped(0x101f) && !space.is_mapped(0x1020));
}

#[test]
fn strings_end_at_zero_or_at_the_limit() {
    let space = AddressSpace::from_pieces(vec![piece(0x1000, b"spam\0eggs")]);
    assert_eq!(space.c_string(0x1000, 100), Ok(&b"spam"[..]));
    assert_eq!(space.c_string(0x1000, 3), Ok(&b"spa"[..]));
    assert_eq!(space.c_string(0x1004, 100), Ok(&b""[..]));
    assert_eq!(space.c_string(0x1005, 4), Ok(&b"eggs"[..]));
    assert_eq!(space.c_string(0x1005, 5), Err(ReadError::Unmapped(0x1009)));
}

#[test]
fn the_ends_of_the_address_space_are_safe() {
    let bytes = [0xab; 16];
    let low = piece(0, &bytes);
    let high = piece(u64::MAX - 16, &bytes);
    let over = piece(u64::MAX - 3, &bytes);
    let space = AddressSpace::from_pieces(vec![over, high, low]);
    assert_eq!(space.pieces().len(), 2);
    assert_eq!(space.read_u8(0), Ok(0xab));
    assert_eq!(space.read_u64(u64::MAX - 8), Ok(0xabab_abab_abab_abab));
    assert_eq!(space.read_u64(u64::MAX - 7), Err(ReadError::Unmapped(u64::MAX)));
    assert_eq!(space.read_u64(u64::MAX), Err(ReadError::Unmapped(u64::MAX)));
    assert!(space.read_bytes(u64::MAX - 1, usize::MAX).is_err());
}

#[test]
fn overlapping_pieces_keep_the_first() {
    let (first, second) = ([1; 16], [2; 16]);
    let space = AddressSpace::from_pieces(vec![piece(0x1008, &second), piece(0x1000, &first)]);
    assert_eq!(space.pieces(), [piece(0x1000, &first)]);
}

#[test]
fn contiguous_segments_become_one_piece() {
    let core = CoreBuilder::new()
        .segment(0x10000, READ | WRITE, &page(1))
        .segment(0x11000, READ | WRITE, &page(2))
        .segment(0x12000, READ, &page(3))
        .segment(0x14000, READ, &page(4));
    let inputs = Scene::new().open(&core.build());
    let space = inputs.space();
    let shape: Vec<_> = space.pieces().iter().map(|p| (p.start, p.len, p.writable)).collect();
    assert_eq!(shape, [(0x10000, 0x2000, true), (0x12000, 0x1000, false), (0x14000, 0x1000, false)]);
    assert_eq!(space.slice(0x10fff, 2), Ok(&[1, 2][..]));
}

#[test]
fn overlapping_segments_keep_the_first_bytes() {
    let core = CoreBuilder::new().segment(0x1000, READ, &[1; 64]).segment(0x1020, READ, &[2; 64]);
    let inputs = Scene::new().open(&core.build());
    let space = inputs.space();
    assert_eq!((space.read_u8(0x103f), space.read_u8(0x1040)), (Ok(1), Ok(2)));
    assert_eq!((space.read_u8(0x105f), space.read_u8(0x1060)), (Ok(2), Err(ReadError::Unmapped(0x1060))));
}

/// Starts of pieces bunched so that all kinds of table entries are made: crowded and empty GiBs, many pieces
/// in one MiB, and addresses above the table.
fn starts() -> impl Strategy<Value = Vec<u64>> {
    let base = prop_oneof![
        Just(0),
        Just(5 << 30),
        Just((5 << 30) - 64),
        Just((1 << 47) - 64),
        Just((1 << 48) - 64),
        Just(u64::MAX << 21)
    ];
    let step = prop_oneof![Just(16u64), Just(48), Just(0x1000), Just(0x10_0000), Just(0x2000_0000)];
    prop::collection::vec(
        (base, step, 0..40u64).prop_map(|(base, step, n)| base.wrapping_add(step * n)),
        1..120,
    )
}

proptest! {
    #[test]
    fn lookup_agrees_with_a_linear_search(starts in starts(), probes in prop::collection::vec((0..120usize, -40i64..80), 1..60)) {
        let bytes = [0u8; 24];
        let pieces: Vec<_> = starts.iter().map(|&start| piece(start, &bytes)).collect();
        let space = AddressSpace::from_pieces(pieces);
        for (index, delta) in probes {
            let address = starts[index % starts.len()].wrapping_add_signed(delta);
            let linear = space.pieces().iter().find(|piece| piece.contains(address));
            prop_assert_eq!(space.piece_at(address), linear);
        }
    }
}
