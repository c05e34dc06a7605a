//! Emitted code as text.

use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter};
use std::fmt::Write;

/// Instructions, one a line, with their offsets; then the constants.
pub(super) fn disassemble(bytes: &[u8], code: usize) -> String {
    let instructions = bytes.get(..code).unwrap_or_default();
    let mut decoder = Decoder::with_ip(64, instructions, 0, DecoderOptions::NONE);
    let mut formatter = IntelFormatter::new();
    let mut out = String::new();
    let mut line = String::new();
    while decoder.can_decode() {
        let i = decoder.decode();
        line.clear();
        formatter.format(&i, &mut line);
        let _ = writeln!(out, "{:5x}  {line}", i.ip());
    }
    let pool = bytes.get(code.next_multiple_of(64)..).unwrap_or_default();
    for (k, chunk) in pool.chunks_exact(8).enumerate() {
        let mut word = [0u8; 8];
        word.copy_from_slice(chunk);
        let at = code.next_multiple_of(64) + 8 * k;
        let _ = writeln!(out, "{at:5x}  .quad {:#018x}", u64::from_le_bytes(word));
    }
    out
}
