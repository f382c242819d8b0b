//! Where a field is inside a struct, and how a path to a field is spelled. Knows byte and bit positions;
//! refuses to know where such a position was learnt.

use serde::{Deserialize, Serialize};

/// The position of one field in its struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Field {
    /// Bytes from the start of the struct the path was asked of.
    pub offset: u32,
    /// Size in bytes: of the whole array for an array, 0 for a flexible array, and for a bit-field the bytes
    /// from `offset` that hold all of its bits.
    pub size: u32,
    /// The bits of a bit-field; `None` for a field made of whole bytes.
    pub bits: Option<Bits>,
}

/// The bits of a bit-field on a little-endian machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Bits {
    /// Number of the lowest bit, counted from the least significant bit of the byte at [`Field::offset`]; below 8.
    pub offset: u8,
    /// Number of bits.
    pub width: u8,
}

impl Field {
    /// A field of whole bytes.
    pub const fn bytes(offset: u32, size: u32) -> Self {
        Self { offset, size, bits: None }
    }

    /// A bit-field, from the number of its lowest bit in the struct; `None` if a number is out of range.
    pub fn bit_field(first_bit: u64, width: u64) -> Option<Self> {
        let low = (first_bit % 8) as u8;
        let bits = Bits { offset: low, width: u8::try_from(width).ok()? };
        let size = (u32::from(low) + u32::from(bits.width)).div_ceil(8);
        Some(Self { offset: u32::try_from(first_bit / 8).ok()?, size, bits: Some(bits) })
    }
}

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.bits {
            None => write!(f, "offset {} (size {})", self.offset, self.size),
            Some(bits) => write!(f, "offset {} bit {} (width {})", self.offset, bits.offset, bits.width),
        }
    }
}

/// One step of a [`FieldPath`]: a member name and the array subscripts after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathSegment<'p> {
    /// The member's name.
    pub name: &'p str,
    /// Subscripts, outermost first; empty if the member is not subscripted.
    pub subscripts: Vec<u64>,
}

/// A path such as `generations[1].head`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath<'p>(Vec<PathSegment<'p>>);

impl<'p> FieldPath<'p> {
    /// Takes a path apart; `None` if it is not `name[number]...` joined by dots.
    pub fn parse(path: &'p str) -> Option<Self> {
        path.split('.').map(PathSegment::parse).collect::<Option<Vec<_>>>().map(Self)
    }

    /// The steps, outermost first; never empty.
    pub fn segments(&self) -> &[PathSegment<'p>] {
        &self.0
    }
}

impl<'p> PathSegment<'p> {
    fn parse(text: &'p str) -> Option<Self> {
        let (name, mut rest) = match text.find('[') {
            Some(open) => text.split_at(open),
            None => (text, ""),
        };
        if name.is_empty() || name.contains(|c: char| c == ']' || c.is_whitespace()) {
            return None;
        }
        let mut subscripts = Vec::new();
        while !rest.is_empty() {
            let (digits, tail) = rest.strip_prefix('[')?.split_once(']')?;
            if !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            subscripts.push(digits.parse().ok()?);
            rest = tail;
        }
        Some(Self { name, subscripts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_apart_into_names_and_subscripts() {
        let path = FieldPath::parse("gc.generations[1].cells[2][30]").unwrap();
        let steps: Vec<_> = path.segments().iter().map(|s| (s.name, s.subscripts.clone())).collect();
        assert_eq!(steps, [("gc", vec![]), ("generations", vec![1]), ("cells", vec![2, 30])]);
    }

    #[test]
    fn paths_that_are_not_paths_are_refused() {
        for text in [
            "", ".", "a.", ".a", "a[", "a[]", "a[x]", "a[1", "a[1]b", "[1]", "a]", "a b", "a[-1]", "a[+1]",
            "a..b",
        ] {
            assert_eq!(FieldPath::parse(text), None, "{text:?}");
        }
        assert_eq!(FieldPath::parse("a[99999999999999999999]"), None);
    }

    #[test]
    fn a_bit_field_starts_in_the_byte_that_holds_its_lowest_bit() {
        assert_eq!(
            Field::bit_field(32 * 8 + 7, 3),
            Some(Field { offset: 32, size: 2, bits: Some(Bits { offset: 7, width: 3 }) })
        );
        assert_eq!(
            Field::bit_field(16, 64),
            Some(Field { offset: 2, size: 8, bits: Some(Bits { offset: 0, width: 64 }) })
        );
        assert_eq!(Field::bit_field(0, 300), None);
        assert_eq!(Field::bit_field(u64::MAX, 1), None);
    }
}
