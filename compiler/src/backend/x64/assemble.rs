//! Bytes: instructions by iced-x86, labels, the pool of constants.

use iced_x86::{Code, Encoder, IcedError, Instruction, MemoryOperand, Register};

/// A place in the code that is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label(u32);

/// Machine code under construction.
pub(super) struct Assembler {
    encoder: Encoder,
    at: u64,
    /// Where each label is.
    labels: Vec<Option<u64>>,
    /// Four-byte fields relative to their end, and the labels that they want.
    fixups: Vec<(u64, Label)>,
    pool: Vec<u64>,
    pool_label: Label,
}

/// A vector register by its number and width in bytes.
pub(super) fn vector(number: u32, bytes: u32) -> Register {
    let first = match bytes {
        64 => Register::ZMM0,
        32 => Register::YMM0,
        _ => Register::XMM0,
    };
    first + number
}

/// A mask register by its number.
pub(super) fn mask(number: u32) -> Register {
    Register::K0 + number
}

/// Memory at a register and a distance.
pub(super) fn memory(base: Register, offset: i64) -> MemoryOperand {
    let size = u32::from(offset != 0);
    MemoryOperand::new(base, Register::None, 1, offset, size, false, Register::None)
}

/// One element in memory for all lanes.
pub(super) fn broadcast(m: MemoryOperand) -> MemoryOperand {
    MemoryOperand { is_broadcast: true, ..m }
}

impl Assembler {
    pub(super) fn new() -> Assembler {
        let mut a = Assembler {
            encoder: Encoder::new(64),
            at: 0,
            labels: Vec::new(),
            fixups: Vec::new(),
            pool: Vec::new(),
            pool_label: Label(0),
        };
        a.pool_label = a.label();
        a
    }

    pub(super) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() as u32 - 1)
    }

    pub(super) fn place(&mut self, label: Label) {
        if let Some(slot) = self.labels.get_mut(label.0 as usize) {
            *slot = Some(self.at);
        }
    }

    /// Appends an instruction.
    pub(super) fn push(
        &mut self,
        instruction: Result<Instruction, IcedError>,
    ) -> Result<(), String> {
        let i = instruction.map_err(|e| e.to_string())?;
        let size = self.encoder.encode(&i, self.at).map_err(|e| e.to_string())?;
        self.at += size as u64;
        Ok(())
    }

    /// Jumps to a label, always by four bytes.
    pub(super) fn jump(&mut self, code: Code, label: Label) -> Result<(), String> {
        self.push(Instruction::with_branch(code, self.at))?;
        self.fixups.push((self.at - 4, label));
        Ok(())
    }

    /// Loads the address of the pool.
    pub(super) fn pool_address(&mut self, to: Register) -> Result<(), String> {
        let m = MemoryOperand::new(
            Register::RIP,
            Register::None,
            1,
            self.at as i64 + 7,
            8,
            false,
            Register::None,
        );
        self.push(Instruction::with2(Code::Lea_r64_m, to, m))?;
        self.fixups.push((self.at - 4, self.pool_label));
        Ok(())
    }

    /// Distance of a constant from the start of the pool.
    pub(super) fn constant(&mut self, bits: u64) -> i64 {
        let found = self.pool.iter().position(|b| *b == bits);
        let at = found.unwrap_or_else(|| {
            self.pool.push(bits);
            self.pool.len() - 1
        });
        8 * at as i64
    }

    /// Distance of a vector of constants, which lies in one line of the cache.
    pub(super) fn constants(&mut self, bits: [u64; 8]) -> i64 {
        let found = self.pool.chunks(8).position(|chunk| chunk == bits);
        let at = found.unwrap_or_else(|| {
            let lines = self.pool.len().div_ceil(8);
            self.pool.resize(8 * lines, 0);
            self.pool.extend(bits);
            lines
        });
        64 * at as i64
    }

    /// Aligns the next instruction, by long no-operations.
    pub(super) fn align(&mut self, to: u64) -> Result<(), String> {
        const NOPS: [&[u8]; 9] = [
            &[0x90],
            &[0x66, 0x90],
            &[0x0f, 0x1f, 0x00],
            &[0x0f, 0x1f, 0x40, 0x00],
            &[0x0f, 0x1f, 0x44, 0x00, 0x00],
            &[0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
            &[0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
            &[0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
            &[0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
        ];
        while !self.at.is_multiple_of(to) {
            let rest = (to - self.at % to).min(NOPS.len() as u64);
            let bytes = NOPS.get(rest as usize - 1).copied().unwrap_or_default();
            self.push(Instruction::with_declare_byte(bytes))?;
        }
        Ok(())
    }

    /// The finished code with its constants, and where they begin.
    pub(super) fn finish(mut self) -> Result<(Vec<u8>, usize), String> {
        let mut bytes = self.encoder.take_buffer();
        let code = bytes.len();
        bytes.resize(code.next_multiple_of(64), 0);
        if let Some(slot) = self.labels.get_mut(self.pool_label.0 as usize) {
            *slot = Some(bytes.len() as u64);
        }
        for bits in &self.pool {
            bytes.extend_from_slice(&bits.to_le_bytes());
        }
        for (field, label) in &self.fixups {
            let target = self.labels.get(label.0 as usize).copied().flatten();
            let target = target.ok_or("a jump goes nowhere")?;
            let distance = target as i64 - (*field as i64 + 4);
            let distance = i32::try_from(distance).map_err(|_| "a jump is too long")?;
            if let Some(slot) = bytes.get_mut(*field as usize..*field as usize + 4) {
                slot.copy_from_slice(&distance.to_le_bytes());
            }
        }
        Ok((bytes, code))
    }
}
