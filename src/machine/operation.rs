//! The instruction set of the interpreter: what one decoded instruction asks for, in a form cheap to repeat.
//!
//! It knows operands, widths and operation names. It refuses to know encodings (see `lower`) and effects (see
//! `execute`).

/// Operand width of an integer operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Half,
    /// 32 bits; writing a register at this width clears its upper half.
    Long,
    /// 64 bits.
    Quad,
}

impl Width {
    /// Bytes an operand of this width occupies in memory.
    pub(super) const fn bytes(self) -> usize {
        match self {
            Width::Byte => 1,
            Width::Half => 2,
            Width::Long => 4,
            Width::Quad => 8,
        }
    }

    /// Bits an operand of this width has.
    pub(super) const fn bits(self) -> u32 {
        match self {
            Width::Byte => 8,
            Width::Half => 16,
            Width::Long => 32,
            Width::Quad => 64,
        }
    }

    /// The low bits of `value` that belong to this width.
    pub(super) const fn truncate(self, value: u64) -> u64 {
        match self {
            Width::Byte => value as u8 as u64,
            Width::Half => value as u16 as u64,
            Width::Long => value as u32 as u64,
            Width::Quad => value,
        }
    }

    /// `value` of this width as a signed number of 64 bits.
    pub(super) const fn sign_extend(self, value: u64) -> i64 {
        match self {
            Width::Byte => value as u8 as i8 as i64,
            Width::Half => value as u16 as i16 as i64,
            Width::Long => value as u32 as i32 as i64,
            Width::Quad => value as i64,
        }
    }

    /// Whether the top bit of this width is set in `value`.
    pub(super) const fn is_negative(self, value: u64) -> bool {
        self.sign_extend(value) < 0
    }
}

/// A general register by its encoding number, or the absent register of an address, which always reads zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gpr(pub(super) u8);

impl Gpr {
    pub(super) const RAX: Gpr = Gpr(0);
    pub(super) const RCX: Gpr = Gpr(1);
    pub(super) const RDX: Gpr = Gpr(2);
    pub(super) const RSP: Gpr = Gpr(4);
    pub(super) const RBP: Gpr = Gpr(5);
    pub(super) const RSI: Gpr = Gpr(6);
    pub(super) const RDI: Gpr = Gpr(7);
    /// No register: contributes nothing to an address.
    pub(super) const ABSENT: Gpr = Gpr(16);
}

/// `displacement + base + (index << shift)`, plus the thread's base when `thread_local`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) base: Gpr,
    pub(super) index: Gpr,
    pub(super) shift: u8,
    /// Addressed through `fs`, the segment of thread-local storage.
    pub(super) thread_local: bool,
    /// Already absolute for addresses relative to the instruction pointer.
    pub(super) displacement: u64,
}

/// Where an integer operand is read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    /// The low part of a general register.
    Register(Gpr),
    /// Bits 8 to 15 of a general register (`ah`, `ch`, `dh`, `bh`).
    HighByte(Gpr),
    /// A constant, already sign-extended to 64 bits.
    Immediate(u64),
    /// A place in memory.
    Memory(Location),
}

/// Two-operand arithmetic that sets all flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    AddCarry,
    Subtract,
    SubtractBorrow,
    And,
    Or,
    Xor,
    /// A subtraction whose result is dropped.
    Compare,
    /// A conjunction whose result is dropped.
    Test,
}

/// One-operand arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unary {
    Increment,
    Decrement,
    Negate,
    Not,
    SwapBytes,
}

/// Shifts and rotations by an immediate or by `cl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shift {
    Left,
    RightLogical,
    RightArithmetic,
    RotateLeft,
    RotateRight,
}

/// What a bit test leaves in the tested bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BitTest {
    Keep,
    Set,
    Reset,
    Complement,
}

/// Scans and counts over the bits of one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BitCount {
    /// `bsf`: a zero source leaves the destination unchanged.
    ScanForward,
    /// `bsr`: a zero source leaves the destination unchanged.
    ScanReverse,
    TrailingZeros,
    LeadingZeros,
    Population,
}

/// What happens around the lowest set bit of one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LowestBit {
    /// It becomes zero.
    Reset,
    /// Only it stays.
    Isolate,
    /// All bits up to it become one.
    Mask,
}

/// The sixteen conditions of `jcc`, `setcc` and `cmovcc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Overflow,
    NotOverflow,
    Below,
    AboveOrEqual,
    Equal,
    NotEqual,
    BelowOrEqual,
    Above,
    Negative,
    NotNegative,
    ParityEven,
    ParityOdd,
    Less,
    GreaterOrEqual,
    LessOrEqual,
    Greater,
}

/// A vector register by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Xmm(pub(super) u8);

/// Where a vector operand is read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VectorOperand {
    Register(Xmm),
    Memory(Location),
}

/// Bitwise and element-wise combinations of two vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VectorBinary {
    And,
    /// The complement of the destination, and the source.
    AndNot,
    Or,
    Xor,
    /// 64-bit sums.
    AddQuads,
    /// 32-bit sums.
    AddLongs,
    /// 64-bit differences.
    SubtractQuads,
    /// All-ones in each equal byte.
    EqualBytes,
    /// All-ones in each equal 32-bit element.
    EqualLongs,
    /// Low half kept, high half from the low half of the source.
    UnpackLowQuads,
    /// Low half from the own high half, high half from the high half of the source.
    UnpackHighQuads,
    /// Low half from the high half of the source, high half kept.
    MoveHighToLow,
}

/// How much of a 32-byte vector register an operation touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// SSE: the low 16 bytes; the rest of the destination is kept.
    Legacy,
    /// AVX with 16 bytes: the rest of the destination becomes zero.
    Half,
    /// AVX with all 32 bytes.
    Whole,
}

/// Operations on the vector registers: what compilers emit to copy, clear and compare many bytes at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VectorOperation {
    /// All bytes.
    Move {
        to: VectorOperand,
        from: VectorOperand,
    },
    /// General operand into the low element; the rest becomes zero.
    Insert {
        to: Xmm,
        from: Operand,
        width: Width,
    },
    /// The low element out to a general operand.
    Extract {
        to: Operand,
        from: Xmm,
        width: Width,
    },
    /// `rest` with the low element of `from`.
    Merge {
        to: Xmm,
        rest: Xmm,
        from: Xmm,
        width: Width,
    },
    /// Low half of the source; the high half becomes zero.
    ClearHigh {
        to: Xmm,
        from: Xmm,
    },
    /// `rest` with one half replaced by 64 bits.
    InsertHalf {
        to: Xmm,
        rest: Xmm,
        from: Operand,
        high: bool,
    },
    /// One half out to a 64-bit operand.
    ExtractHalf {
        to: Operand,
        from: Xmm,
        high: bool,
    },
    Binary {
        kind: VectorBinary,
        to: Xmm,
        left: Xmm,
        right: VectorOperand,
    },
    /// 32-bit elements of the source in the order of the two-bit fields.
    ShuffleLongs {
        to: Xmm,
        from: VectorOperand,
        order: u8,
    },
    /// One bit from the top of each byte.
    ByteMask {
        to: Gpr,
        from: Xmm,
    },
    /// `rest` with one 16-byte lane replaced.
    InsertLane {
        to: Xmm,
        rest: Xmm,
        from: VectorOperand,
        high: bool,
    },
    /// One 16-byte lane out.
    ExtractLane {
        to: VectorOperand,
        from: Xmm,
        high: bool,
    },
    /// Flags of an ordered comparison of the low floating-point elements.
    CompareScalar {
        left: Xmm,
        right: VectorOperand,
        width: Width,
    },
    /// The high lane of every register becomes zero; with `all`, the low lane too.
    ZeroRegisters {
        all: bool,
    },
}

/// What one instruction asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Nothing,
    Move {
        width: Width,
        to: Operand,
        from: Operand,
    },
    ZeroExtend {
        width: Width,
        to: Gpr,
        from: Operand,
        from_width: Width,
    },
    SignExtend {
        width: Width,
        to: Gpr,
        from: Operand,
        from_width: Width,
    },
    LoadAddress {
        width: Width,
        to: Gpr,
        of: Location,
    },
    Push {
        from: Operand,
    },
    Pop {
        to: Operand,
    },
    Binary {
        kind: Binary,
        width: Width,
        to: Operand,
        from: Operand,
    },
    Unary {
        kind: Unary,
        width: Width,
        to: Operand,
    },
    Shift {
        kind: Shift,
        width: Width,
        to: Operand,
        count: Operand,
    },
    /// Two- and three-operand signed multiplication.
    Multiply {
        width: Width,
        to: Gpr,
        left: Operand,
        right: Operand,
    },
    /// `rax` by the operand into `rdx:rax`.
    MultiplyWide {
        signed: bool,
        width: Width,
        by: Operand,
    },
    /// `rdx:rax` by the operand; quotient in `rax`, remainder in `rdx`.
    Divide {
        signed: bool,
        width: Width,
        by: Operand,
    },
    /// `cbw`, `cwde`, `cdqe`: doubles the accumulator up to `width`.
    ExtendAccumulator {
        width: Width,
    },
    /// `cwd`, `cdq`, `cqo`: fills `rdx` with the accumulator's sign.
    SpreadSign {
        width: Width,
    },
    SetIf {
        condition: Condition,
        to: Operand,
    },
    MoveIf {
        condition: Condition,
        width: Width,
        to: Gpr,
        from: Operand,
    },
    Exchange {
        width: Width,
        left: Operand,
        right: Operand,
    },
    ExchangeAdd {
        width: Width,
        to: Operand,
        from: Operand,
    },
    CompareExchange {
        width: Width,
        to: Operand,
        from: Operand,
    },
    BitTest {
        kind: BitTest,
        width: Width,
        of: Operand,
        index: Operand,
    },
    BitCount {
        kind: BitCount,
        width: Width,
        to: Gpr,
        from: Operand,
    },
    /// The complement of `left`, and `right`.
    AndNot {
        width: Width,
        to: Gpr,
        left: Operand,
        right: Operand,
    },
    /// A shift from one operand into another that leaves the flags alone.
    ShiftInto {
        kind: Shift,
        width: Width,
        to: Gpr,
        from: Operand,
        count: Operand,
    },
    /// Bits from position `count` on become zero.
    ZeroHighBits {
        width: Width,
        to: Gpr,
        from: Operand,
        count: Operand,
    },
    /// Changes of the lowest set bit.
    LowestBit {
        kind: LowestBit,
        width: Width,
        to: Gpr,
        from: Operand,
    },
    /// `stos`: the accumulator to `[rdi]`, `rcx` times when `repeat`.
    FillString {
        width: Width,
        repeat: bool,
    },
    /// `movs`: `[rsi]` to `[rdi]`, `rcx` times when `repeat`.
    CopyString {
        width: Width,
        repeat: bool,
    },
    Leave,
    Vector {
        extent: Extent,
        operation: VectorOperation,
    },
    BranchIf {
        condition: Condition,
        target: u64,
    },
    Jump {
        target: u64,
    },
    JumpThrough {
        target: Operand,
    },
    Call {
        target: u64,
    },
    CallThrough {
        target: Operand,
    },
    Return {
        release: u16,
    },
    /// A valid instruction outside the subset, or bytes that are no instruction.
    Unsupported,
}

impl Operation {
    /// Whether execution never continues behind this operation.
    pub(super) const fn ends_block(&self) -> bool {
        matches!(
            self,
            Operation::Jump { .. }
                | Operation::JumpThrough { .. }
                | Operation::Call { .. }
                | Operation::CallThrough { .. }
                | Operation::Return { .. }
                | Operation::Unsupported
        )
    }
}
