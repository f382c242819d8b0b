//! Compresses bytes in each format that cores come in, as the usual commands do. Knows libraries; refuses to know cores.

use std::io::Write;

/// One way of compressing.
#[derive(Clone, Copy, Debug)]
pub struct Compressor {
    /// `zstd`, `zstd streamed`, `lz4`, `gzip` or `xz`.
    pub name: &'static str,
    /// Compresses a whole file.
    pub compress: fn(&[u8]) -> Vec<u8>,
}

/// Every format, each with checksums; zstd with and without the content's size in its header.
pub const FORMATS: [Compressor; 5] = [
    Compressor { name: "zstd", compress: zstd_sized },
    Compressor { name: "zstd streamed", compress: zstd_streamed },
    Compressor { name: "lz4", compress: lz4 },
    Compressor { name: "gzip", compress: gzip },
    Compressor { name: "xz", compress: xz },
];

/// As `zstd FILE` does.
pub fn zstd_sized(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd_encoder();
    encoder.set_pledged_src_size(Some(bytes.len() as u64)).expect("a size");
    encoder.include_contentsize(true).expect("a flag");
    finished(encoder, bytes)
}

/// As `zstd` and `systemd-coredump` compress a stream: its size is not known when the header is written.
pub fn zstd_streamed(bytes: &[u8]) -> Vec<u8> {
    finished(zstd_encoder(), bytes)
}

fn zstd_encoder() -> zstd::stream::write::Encoder<'static, Vec<u8>> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("memory");
    encoder.include_checksum(true).expect("a flag");
    encoder
}

fn finished(mut encoder: zstd::stream::write::Encoder<'static, Vec<u8>>, bytes: &[u8]) -> Vec<u8> {
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// As `lz4` does: blocks of 4 MiB, and a checksum.
pub fn lz4(bytes: &[u8]) -> Vec<u8> {
    use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};
    let info = FrameInfo::new().content_checksum(true).block_size(BlockSize::Max4MB);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// As `lz4 -l` does (LZ4 frame format, "Legacy frame").
pub fn lz4_legacy(bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0x02, 0x21, 0x4c, 0x18];
    for block in bytes.chunks(8 << 20) {
        let packed = lz4_flex::block::compress(block);
        file.extend((packed.len() as u32).to_le_bytes());
        file.extend(packed);
    }
    file
}

/// As `gzip -1` does.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// As `xz -0` does.
pub fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}
