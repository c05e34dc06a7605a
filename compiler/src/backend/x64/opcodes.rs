//! Which instruction does an operation: a table over operations, lane types and vector widths.

use super::code::Lane;
use iced_x86::Code;

/// An operation that one EVEX instruction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Op {
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a * b`, the low half of it on integers.
    Mul,
    /// `a / b`
    Div,
    /// The larger; on floats the second where the order is undefined.
    Max,
    /// The smaller, see `Max`.
    Min,
    /// Minimum (immediate 4) or maximum (5) that orders zeros by sign and prefers numbers to NaN.
    Range,
    /// `a * b + dst`
    Fma231,
    /// `a * dst + b`
    Fma213,
    /// `a * dst + b` with the product of the destination and the last operand.
    Fma132,
    /// Square root.
    Sqrt,
    /// Rounds to an integer; the immediate picks the direction.
    Round,
    /// A comparison into a mask; the immediate picks it.
    Cmp,
    /// Tests for classes of floats into a mask.
    Class,
    /// Shift left by as many bits as each lane says, 0 from the width on.
    Shl,
    /// Shift right, arithmetic on signed lanes.
    Shr,
    /// Bits of both.
    And,
    /// Bits of either.
    Or,
    /// Bits of one.
    Xor,
    /// Bits of the second that the first lacks.
    AndNot,
    /// The second where the mask is set, else the first.
    Blend,
    /// Any function of three bits; the immediate is its truth table.
    Ternary,
    /// Lanes of two vectors beside each other, shifted down by the immediate.
    Align,
    /// Lanes of the second by the numbers in the first; 64 bytes only.
    Permute,
    /// Lanes of the first and the third beside each other by the numbers in the second; 64 bytes
    /// only.
    Pick,
    /// Interleaves the lower halves of groups of 128 bits, elements of 4 bytes.
    UnpackLow,
    /// Interleaves the upper halves.
    UnpackHigh,
    /// Interleaves the lower halves of groups of 128 bits, elements of 8 bytes.
    PairLow,
    /// Interleaves the upper halves.
    PairHigh,
    /// Two groups of 128 bits of the first, then two of the second.
    Groups,
    /// From memory.
    Load,
    /// To memory.
    Store,
    /// From a register.
    Move,
    /// All ones where the mask is set.
    FromMask,
}

/// An operation, the lanes that it is for, its instructions for 16, 32 and 64 bytes.
type Row = (Op, &'static [Lane], [Code; 3]);

const fn row(op: Op, lanes: &'static [Lane], codes: [Code; 3]) -> Row {
    (op, lanes, codes)
}

/// The instruction for a width of 16, 32 or 64 bytes.
pub(super) fn code(op: Op, lane: Lane, bytes: u32) -> Option<Code> {
    let row = TABLE.iter().find(|(o, l, _)| *o == op && l.contains(&lane))?;
    let [x, y, z] = row.2;
    Some(match bytes {
        64 => z,
        32 => y,
        _ => x,
    })
}

#[rustfmt::skip]
const TABLE: &[Row] = &[
    row(Op::Add, &[Lane::F32], [
        Code::EVEX_Vaddps_xmm_k1z_xmm_xmmm128b32,
        Code::EVEX_Vaddps_ymm_k1z_ymm_ymmm256b32,
        Code::EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er,
    ]),
    row(Op::Sub, &[Lane::F32], [
        Code::EVEX_Vsubps_xmm_k1z_xmm_xmmm128b32,
        Code::EVEX_Vsubps_ymm_k1z_ymm_ymmm256b32,
        Code::EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er,
    ]),
    row(Op::Mul, &[Lane::F32], [
        Code::EVEX_Vmulps_xmm_k1z_xmm_xmmm128b32,
        Code::EVEX_Vmulps_ymm_k1z_ymm_ymmm256b32,
        Code::EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er,
    ]),
    row(Op::Div, &[Lane::F32], [
        Code::EVEX_Vdivps_xmm_k1z_xmm_xmmm128b32,
        Code::EVEX_Vdivps_ymm_k1z_ymm_ymmm256b32,
        Code::EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er,
    ]),
    row(Op::Max, &[Lane::F32], [
        Code::EVEX_Vmaxps_xmm_k1z_xmm_xmmm128b32,
        Code::EVEX_Vmaxps_ymm_k1z_ymm_ymmm256b32,
        Code::EVEX_Vmaxps_zmm_k1z_zmm_zmmm512b32_sae,
    ]),
    row(Op::Min, &[Lane::F32], [
        Code::EVEX_Vminps_xmm_k1z_xmm_xmmm128b32,
        Code::EVEX_Vminps_ymm_k1z_ymm_ymmm256b32,
        Code::EVEX_Vminps_zmm_k1z_zmm_zmmm512b32_sae,
    ]),
    row(Op::Range, &[Lane::F32], [
        Code::EVEX_Vrangeps_xmm_k1z_xmm_xmmm128b32_imm8,
        Code::EVEX_Vrangeps_ymm_k1z_ymm_ymmm256b32_imm8,
        Code::EVEX_Vrangeps_zmm_k1z_zmm_zmmm512b32_imm8_sae,
    ]),
    row(Op::Fma231, &[Lane::F32], [
        Code::EVEX_Vfmadd231ps_xmm_k1z_xmm_xmmm128b32,
        Code::EVEX_Vfmadd231ps_ymm_k1z_ymm_ymmm256b32,
        Code::EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er,
    ]),
    row(Op::Fma213, &[Lane::F32], [
        Code::EVEX_Vfmadd213ps_xmm_k1z_xmm_xmmm128b32,
        Code::EVEX_Vfmadd213ps_ymm_k1z_ymm_ymmm256b32,
        Code::EVEX_Vfmadd213ps_zmm_k1z_zmm_zmmm512b32_er,
    ]),
    row(Op::Fma132, &[Lane::F32], [
        Code::EVEX_Vfmadd132ps_xmm_k1z_xmm_xmmm128b32,
        Code::EVEX_Vfmadd132ps_ymm_k1z_ymm_ymmm256b32,
        Code::EVEX_Vfmadd132ps_zmm_k1z_zmm_zmmm512b32_er,
    ]),
    row(Op::Sqrt, &[Lane::F32], [
        Code::EVEX_Vsqrtps_xmm_k1z_xmmm128b32,
        Code::EVEX_Vsqrtps_ymm_k1z_ymmm256b32,
        Code::EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er,
    ]),
    row(Op::Round, &[Lane::F32], [
        Code::EVEX_Vrndscaleps_xmm_k1z_xmmm128b32_imm8,
        Code::EVEX_Vrndscaleps_ymm_k1z_ymmm256b32_imm8,
        Code::EVEX_Vrndscaleps_zmm_k1z_zmmm512b32_imm8_sae,
    ]),
    row(Op::Cmp, &[Lane::F32], [
        Code::EVEX_Vcmpps_kr_k1_xmm_xmmm128b32_imm8,
        Code::EVEX_Vcmpps_kr_k1_ymm_ymmm256b32_imm8,
        Code::EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae,
    ]),
    row(Op::Class, &[Lane::F32], [
        Code::EVEX_Vfpclassps_kr_k1_xmmm128b32_imm8,
        Code::EVEX_Vfpclassps_kr_k1_ymmm256b32_imm8,
        Code::EVEX_Vfpclassps_kr_k1_zmmm512b32_imm8,
    ]),
    row(Op::Add, &[Lane::F64], [
        Code::EVEX_Vaddpd_xmm_k1z_xmm_xmmm128b64,
        Code::EVEX_Vaddpd_ymm_k1z_ymm_ymmm256b64,
        Code::EVEX_Vaddpd_zmm_k1z_zmm_zmmm512b64_er,
    ]),
    row(Op::Sub, &[Lane::F64], [
        Code::EVEX_Vsubpd_xmm_k1z_xmm_xmmm128b64,
        Code::EVEX_Vsubpd_ymm_k1z_ymm_ymmm256b64,
        Code::EVEX_Vsubpd_zmm_k1z_zmm_zmmm512b64_er,
    ]),
    row(Op::Mul, &[Lane::F64], [
        Code::EVEX_Vmulpd_xmm_k1z_xmm_xmmm128b64,
        Code::EVEX_Vmulpd_ymm_k1z_ymm_ymmm256b64,
        Code::EVEX_Vmulpd_zmm_k1z_zmm_zmmm512b64_er,
    ]),
    row(Op::Div, &[Lane::F64], [
        Code::EVEX_Vdivpd_xmm_k1z_xmm_xmmm128b64,
        Code::EVEX_Vdivpd_ymm_k1z_ymm_ymmm256b64,
        Code::EVEX_Vdivpd_zmm_k1z_zmm_zmmm512b64_er,
    ]),
    row(Op::Max, &[Lane::F64], [
        Code::EVEX_Vmaxpd_xmm_k1z_xmm_xmmm128b64,
        Code::EVEX_Vmaxpd_ymm_k1z_ymm_ymmm256b64,
        Code::EVEX_Vmaxpd_zmm_k1z_zmm_zmmm512b64_sae,
    ]),
    row(Op::Min, &[Lane::F64], [
        Code::EVEX_Vminpd_xmm_k1z_xmm_xmmm128b64,
        Code::EVEX_Vminpd_ymm_k1z_ymm_ymmm256b64,
        Code::EVEX_Vminpd_zmm_k1z_zmm_zmmm512b64_sae,
    ]),
    row(Op::Range, &[Lane::F64], [
        Code::EVEX_Vrangepd_xmm_k1z_xmm_xmmm128b64_imm8,
        Code::EVEX_Vrangepd_ymm_k1z_ymm_ymmm256b64_imm8,
        Code::EVEX_Vrangepd_zmm_k1z_zmm_zmmm512b64_imm8_sae,
    ]),
    row(Op::Fma231, &[Lane::F64], [
        Code::EVEX_Vfmadd231pd_xmm_k1z_xmm_xmmm128b64,
        Code::EVEX_Vfmadd231pd_ymm_k1z_ymm_ymmm256b64,
        Code::EVEX_Vfmadd231pd_zmm_k1z_zmm_zmmm512b64_er,
    ]),
    row(Op::Fma213, &[Lane::F64], [
        Code::EVEX_Vfmadd213pd_xmm_k1z_xmm_xmmm128b64,
        Code::EVEX_Vfmadd213pd_ymm_k1z_ymm_ymmm256b64,
        Code::EVEX_Vfmadd213pd_zmm_k1z_zmm_zmmm512b64_er,
    ]),
    row(Op::Fma132, &[Lane::F64], [
        Code::EVEX_Vfmadd132pd_xmm_k1z_xmm_xmmm128b64,
        Code::EVEX_Vfmadd132pd_ymm_k1z_ymm_ymmm256b64,
        Code::EVEX_Vfmadd132pd_zmm_k1z_zmm_zmmm512b64_er,
    ]),
    row(Op::Sqrt, &[Lane::F64], [
        Code::EVEX_Vsqrtpd_xmm_k1z_xmmm128b64,
        Code::EVEX_Vsqrtpd_ymm_k1z_ymmm256b64,
        Code::EVEX_Vsqrtpd_zmm_k1z_zmmm512b64_er,
    ]),
    row(Op::Round, &[Lane::F64], [
        Code::EVEX_Vrndscalepd_xmm_k1z_xmmm128b64_imm8,
        Code::EVEX_Vrndscalepd_ymm_k1z_ymmm256b64_imm8,
        Code::EVEX_Vrndscalepd_zmm_k1z_zmmm512b64_imm8_sae,
    ]),
    row(Op::Cmp, &[Lane::F64], [
        Code::EVEX_Vcmppd_kr_k1_xmm_xmmm128b64_imm8,
        Code::EVEX_Vcmppd_kr_k1_ymm_ymmm256b64_imm8,
        Code::EVEX_Vcmppd_kr_k1_zmm_zmmm512b64_imm8_sae,
    ]),
    row(Op::Class, &[Lane::F64], [
        Code::EVEX_Vfpclasspd_kr_k1_xmmm128b64_imm8,
        Code::EVEX_Vfpclasspd_kr_k1_ymmm256b64_imm8,
        Code::EVEX_Vfpclasspd_kr_k1_zmmm512b64_imm8,
    ]),
    row(Op::Add, &[Lane::I32, Lane::U32], [
        Code::EVEX_Vpaddd_xmm_k1z_xmm_xmmm128b32,
        Code::EVEX_Vpaddd_ymm_k1z_ymm_ymmm256b32,
        Code::EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32,
    ]),
    row(Op::Sub, &[Lane::I32, Lane::U32], [
        Code::EVEX_Vpsubd_xmm_k1z_xmm_xmmm128b32,
        Code::EVEX_Vpsubd_ymm_k1z_ymm_ymmm256b32,
        Code::EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32,
    ]),
    row(Op::Mul, &[Lane::I32, Lane::U32], [
        Code::EVEX_Vpmulld_xmm_k1z_xmm_xmmm128b32,
        Code::EVEX_Vpmulld_ymm_k1z_ymm_ymmm256b32,
        Code::EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32,
    ]),
    row(Op::Max, &[Lane::I32], [
        Code::EVEX_Vpmaxsd_xmm_k1z_xmm_xmmm128b32,
        Code::EVEX_Vpmaxsd_ymm_k1z_ymm_ymmm256b32,
        Code::EVEX_Vpmaxsd_zmm_k1z_zmm_zmmm512b32,
    ]),
    row(Op::Min, &[Lane::I32], [
        Code::EVEX_Vpminsd_xmm_k1z_xmm_xmmm128b32,
        Code::EVEX_Vpminsd_ymm_k1z_ymm_ymmm256b32,
        Code::EVEX_Vpminsd_zmm_k1z_zmm_zmmm512b32,
    ]),
    row(Op::Shl, &[Lane::I32, Lane::U32], [
        Code::EVEX_Vpsllvd_xmm_k1z_xmm_xmmm128b32,
        Code::EVEX_Vpsllvd_ymm_k1z_ymm_ymmm256b32,
        Code::EVEX_Vpsllvd_zmm_k1z_zmm_zmmm512b32,
    ]),
    row(Op::Shr, &[Lane::I32], [
        Code::EVEX_Vpsravd_xmm_k1z_xmm_xmmm128b32,
        Code::EVEX_Vpsravd_ymm_k1z_ymm_ymmm256b32,
        Code::EVEX_Vpsravd_zmm_k1z_zmm_zmmm512b32,
    ]),
    row(Op::Cmp, &[Lane::I32], [
        Code::EVEX_Vpcmpd_kr_k1_xmm_xmmm128b32_imm8,
        Code::EVEX_Vpcmpd_kr_k1_ymm_ymmm256b32_imm8,
        Code::EVEX_Vpcmpd_kr_k1_zmm_zmmm512b32_imm8,
    ]),
    row(Op::Max, &[Lane::U32], [
        Code::EVEX_Vpmaxud_xmm_k1z_xmm_xmmm128b32,
        Code::EVEX_Vpmaxud_ymm_k1z_ymm_ymmm256b32,
        Code::EVEX_Vpmaxud_zmm_k1z_zmm_zmmm512b32,
    ]),
    row(Op::Min, &[Lane::U32], [
        Code::EVEX_Vpminud_xmm_k1z_xmm_xmmm128b32,
        Code::EVEX_Vpminud_ymm_k1z_ymm_ymmm256b32,
        Code::EVEX_Vpminud_zmm_k1z_zmm_zmmm512b32,
    ]),
    row(Op::Shr, &[Lane::U32], [
        Code::EVEX_Vpsrlvd_xmm_k1z_xmm_xmmm128b32,
        Code::EVEX_Vpsrlvd_ymm_k1z_ymm_ymmm256b32,
        Code::EVEX_Vpsrlvd_zmm_k1z_zmm_zmmm512b32,
    ]),
    row(Op::Cmp, &[Lane::U32], [
        Code::EVEX_Vpcmpud_kr_k1_xmm_xmmm128b32_imm8,
        Code::EVEX_Vpcmpud_kr_k1_ymm_ymmm256b32_imm8,
        Code::EVEX_Vpcmpud_kr_k1_zmm_zmmm512b32_imm8,
    ]),
    row(Op::Add, &[Lane::I64, Lane::U64], [
        Code::EVEX_Vpaddq_xmm_k1z_xmm_xmmm128b64,
        Code::EVEX_Vpaddq_ymm_k1z_ymm_ymmm256b64,
        Code::EVEX_Vpaddq_zmm_k1z_zmm_zmmm512b64,
    ]),
    row(Op::Sub, &[Lane::I64, Lane::U64], [
        Code::EVEX_Vpsubq_xmm_k1z_xmm_xmmm128b64,
        Code::EVEX_Vpsubq_ymm_k1z_ymm_ymmm256b64,
        Code::EVEX_Vpsubq_zmm_k1z_zmm_zmmm512b64,
    ]),
    row(Op::Mul, &[Lane::I64, Lane::U64], [
        Code::EVEX_Vpmullq_xmm_k1z_xmm_xmmm128b64,
        Code::EVEX_Vpmullq_ymm_k1z_ymm_ymmm256b64,
        Code::EVEX_Vpmullq_zmm_k1z_zmm_zmmm512b64,
    ]),
    row(Op::Max, &[Lane::I64], [
        Code::EVEX_Vpmaxsq_xmm_k1z_xmm_xmmm128b64,
        Code::EVEX_Vpmaxsq_ymm_k1z_ymm_ymmm256b64,
        Code::EVEX_Vpmaxsq_zmm_k1z_zmm_zmmm512b64,
    ]),
    row(Op::Min, &[Lane::I64], [
        Code::EVEX_Vpminsq_xmm_k1z_xmm_xmmm128b64,
        Code::EVEX_Vpminsq_ymm_k1z_ymm_ymmm256b64,
        Code::EVEX_Vpminsq_zmm_k1z_zmm_zmmm512b64,
    ]),
    row(Op::Shl, &[Lane::I64, Lane::U64], [
        Code::EVEX_Vpsllvq_xmm_k1z_xmm_xmmm128b64,
        Code::EVEX_Vpsllvq_ymm_k1z_ymm_ymmm256b64,
        Code::EVEX_Vpsllvq_zmm_k1z_zmm_zmmm512b64,
    ]),
    row(Op::Shr, &[Lane::I64], [
        Code::EVEX_Vpsravq_xmm_k1z_xmm_xmmm128b64,
        Code::EVEX_Vpsravq_ymm_k1z_ymm_ymmm256b64,
        Code::EVEX_Vpsravq_zmm_k1z_zmm_zmmm512b64,
    ]),
    row(Op::Cmp, &[Lane::I64], [
        Code::EVEX_Vpcmpq_kr_k1_xmm_xmmm128b64_imm8,
        Code::EVEX_Vpcmpq_kr_k1_ymm_ymmm256b64_imm8,
        Code::EVEX_Vpcmpq_kr_k1_zmm_zmmm512b64_imm8,
    ]),
    row(Op::Max, &[Lane::U64], [
        Code::EVEX_Vpmaxuq_xmm_k1z_xmm_xmmm128b64,
        Code::EVEX_Vpmaxuq_ymm_k1z_ymm_ymmm256b64,
        Code::EVEX_Vpmaxuq_zmm_k1z_zmm_zmmm512b64,
    ]),
    row(Op::Min, &[Lane::U64], [
        Code::EVEX_Vpminuq_xmm_k1z_xmm_xmmm128b64,
        Code::EVEX_Vpminuq_ymm_k1z_ymm_ymmm256b64,
        Code::EVEX_Vpminuq_zmm_k1z_zmm_zmmm512b64,
    ]),
    row(Op::Shr, &[Lane::U64], [
        Code::EVEX_Vpsrlvq_xmm_k1z_xmm_xmmm128b64,
        Code::EVEX_Vpsrlvq_ymm_k1z_ymm_ymmm256b64,
        Code::EVEX_Vpsrlvq_zmm_k1z_zmm_zmmm512b64,
    ]),
    row(Op::Cmp, &[Lane::U64], [
        Code::EVEX_Vpcmpuq_kr_k1_xmm_xmmm128b64_imm8,
        Code::EVEX_Vpcmpuq_kr_k1_ymm_ymmm256b64_imm8,
        Code::EVEX_Vpcmpuq_kr_k1_zmm_zmmm512b64_imm8,
    ]),
    row(Op::And, &[Lane::F32, Lane::I32, Lane::U32], [
        Code::EVEX_Vpandd_xmm_k1z_xmm_xmmm128b32,
        Code::EVEX_Vpandd_ymm_k1z_ymm_ymmm256b32,
        Code::EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32,
    ]),
    row(Op::Or, &[Lane::F32, Lane::I32, Lane::U32], [
        Code::EVEX_Vpord_xmm_k1z_xmm_xmmm128b32,
        Code::EVEX_Vpord_ymm_k1z_ymm_ymmm256b32,
        Code::EVEX_Vpord_zmm_k1z_zmm_zmmm512b32,
    ]),
    row(Op::Xor, &[Lane::F32, Lane::I32, Lane::U32], [
        Code::EVEX_Vpxord_xmm_k1z_xmm_xmmm128b32,
        Code::EVEX_Vpxord_ymm_k1z_ymm_ymmm256b32,
        Code::EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32,
    ]),
    row(Op::AndNot, &[Lane::F32, Lane::I32, Lane::U32], [
        Code::EVEX_Vpandnd_xmm_k1z_xmm_xmmm128b32,
        Code::EVEX_Vpandnd_ymm_k1z_ymm_ymmm256b32,
        Code::EVEX_Vpandnd_zmm_k1z_zmm_zmmm512b32,
    ]),
    row(Op::Blend, &[Lane::F32, Lane::I32, Lane::U32], [
        Code::EVEX_Vblendmps_xmm_k1z_xmm_xmmm128b32,
        Code::EVEX_Vblendmps_ymm_k1z_ymm_ymmm256b32,
        Code::EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32,
    ]),
    row(Op::Ternary, &[Lane::F32, Lane::I32, Lane::U32], [
        Code::EVEX_Vpternlogd_xmm_k1z_xmm_xmmm128b32_imm8,
        Code::EVEX_Vpternlogd_ymm_k1z_ymm_ymmm256b32_imm8,
        Code::EVEX_Vpternlogd_zmm_k1z_zmm_zmmm512b32_imm8,
    ]),
    row(Op::Align, &[Lane::F32, Lane::I32, Lane::U32], [
        Code::EVEX_Valignd_xmm_k1z_xmm_xmmm128b32_imm8,
        Code::EVEX_Valignd_ymm_k1z_ymm_ymmm256b32_imm8,
        Code::EVEX_Valignd_zmm_k1z_zmm_zmmm512b32_imm8,
    ]),
    row(Op::Load, &[Lane::F32, Lane::I32, Lane::U32], [
        Code::EVEX_Vmovups_xmm_k1z_xmmm128,
        Code::EVEX_Vmovups_ymm_k1z_ymmm256,
        Code::EVEX_Vmovups_zmm_k1z_zmmm512,
    ]),
    row(Op::Store, &[Lane::F32, Lane::I32, Lane::U32], [
        Code::EVEX_Vmovups_xmmm128_k1z_xmm,
        Code::EVEX_Vmovups_ymmm256_k1z_ymm,
        Code::EVEX_Vmovups_zmmm512_k1z_zmm,
    ]),
    row(Op::Move, &[Lane::F32, Lane::I32, Lane::U32], [
        Code::EVEX_Vmovaps_xmm_k1z_xmmm128,
        Code::EVEX_Vmovaps_ymm_k1z_ymmm256,
        Code::EVEX_Vmovaps_zmm_k1z_zmmm512,
    ]),
    row(Op::FromMask, &[Lane::F32, Lane::I32, Lane::U32], [
        Code::EVEX_Vpmovm2d_xmm_kr,
        Code::EVEX_Vpmovm2d_ymm_kr,
        Code::EVEX_Vpmovm2d_zmm_kr,
    ]),
    row(Op::And, &[Lane::F64, Lane::I64, Lane::U64], [
        Code::EVEX_Vpandq_xmm_k1z_xmm_xmmm128b64,
        Code::EVEX_Vpandq_ymm_k1z_ymm_ymmm256b64,
        Code::EVEX_Vpandq_zmm_k1z_zmm_zmmm512b64,
    ]),
    row(Op::Or, &[Lane::F64, Lane::I64, Lane::U64], [
        Code::EVEX_Vporq_xmm_k1z_xmm_xmmm128b64,
        Code::EVEX_Vporq_ymm_k1z_ymm_ymmm256b64,
        Code::EVEX_Vporq_zmm_k1z_zmm_zmmm512b64,
    ]),
    row(Op::Xor, &[Lane::F64, Lane::I64, Lane::U64], [
        Code::EVEX_Vpxorq_xmm_k1z_xmm_xmmm128b64,
        Code::EVEX_Vpxorq_ymm_k1z_ymm_ymmm256b64,
        Code::EVEX_Vpxorq_zmm_k1z_zmm_zmmm512b64,
    ]),
    row(Op::AndNot, &[Lane::F64, Lane::I64, Lane::U64], [
        Code::EVEX_Vpandnq_xmm_k1z_xmm_xmmm128b64,
        Code::EVEX_Vpandnq_ymm_k1z_ymm_ymmm256b64,
        Code::EVEX_Vpandnq_zmm_k1z_zmm_zmmm512b64,
    ]),
    row(Op::Blend, &[Lane::F64, Lane::I64, Lane::U64], [
        Code::EVEX_Vblendmpd_xmm_k1z_xmm_xmmm128b64,
        Code::EVEX_Vblendmpd_ymm_k1z_ymm_ymmm256b64,
        Code::EVEX_Vblendmpd_zmm_k1z_zmm_zmmm512b64,
    ]),
    row(Op::Ternary, &[Lane::F64, Lane::I64, Lane::U64], [
        Code::EVEX_Vpternlogq_xmm_k1z_xmm_xmmm128b64_imm8,
        Code::EVEX_Vpternlogq_ymm_k1z_ymm_ymmm256b64_imm8,
        Code::EVEX_Vpternlogq_zmm_k1z_zmm_zmmm512b64_imm8,
    ]),
    row(Op::Align, &[Lane::F64, Lane::I64, Lane::U64], [
        Code::EVEX_Valignq_xmm_k1z_xmm_xmmm128b64_imm8,
        Code::EVEX_Valignq_ymm_k1z_ymm_ymmm256b64_imm8,
        Code::EVEX_Valignq_zmm_k1z_zmm_zmmm512b64_imm8,
    ]),
    row(Op::Load, &[Lane::F64, Lane::I64, Lane::U64], [
        Code::EVEX_Vmovupd_xmm_k1z_xmmm128,
        Code::EVEX_Vmovupd_ymm_k1z_ymmm256,
        Code::EVEX_Vmovupd_zmm_k1z_zmmm512,
    ]),
    row(Op::Store, &[Lane::F64, Lane::I64, Lane::U64], [
        Code::EVEX_Vmovupd_xmmm128_k1z_xmm,
        Code::EVEX_Vmovupd_ymmm256_k1z_ymm,
        Code::EVEX_Vmovupd_zmmm512_k1z_zmm,
    ]),
    row(Op::Move, &[Lane::F64, Lane::I64, Lane::U64], [
        Code::EVEX_Vmovapd_xmm_k1z_xmmm128,
        Code::EVEX_Vmovapd_ymm_k1z_ymmm256,
        Code::EVEX_Vmovapd_zmm_k1z_zmmm512,
    ]),
    row(Op::FromMask, &[Lane::F64, Lane::I64, Lane::U64], [
        Code::EVEX_Vpmovm2q_xmm_kr,
        Code::EVEX_Vpmovm2q_ymm_kr,
        Code::EVEX_Vpmovm2q_zmm_kr,
    ]),
    row(
        Op::Permute,
        &[Lane::F32, Lane::I32, Lane::U32],
        [Code::EVEX_Vpermps_zmm_k1z_zmm_zmmm512b32; 3],
    ),
    row(
        Op::Pick,
        &[Lane::F32, Lane::I32, Lane::U32],
        [Code::EVEX_Vpermt2ps_zmm_k1z_zmm_zmmm512b32; 3],
    ),
    row(
        Op::Permute,
        &[Lane::F64, Lane::I64, Lane::U64],
        [Code::EVEX_Vpermpd_zmm_k1z_zmm_zmmm512b64; 3],
    ),
    row(
        Op::Pick,
        &[Lane::F64, Lane::I64, Lane::U64],
        [Code::EVEX_Vpermt2pd_zmm_k1z_zmm_zmmm512b64; 3],
    ),
    row(Op::UnpackLow, &[Lane::F32, Lane::I32, Lane::U32, Lane::F64, Lane::I64, Lane::U64], [
        Code::EVEX_Vunpcklps_xmm_k1z_xmm_xmmm128b32,
        Code::EVEX_Vunpcklps_ymm_k1z_ymm_ymmm256b32,
        Code::EVEX_Vunpcklps_zmm_k1z_zmm_zmmm512b32,
    ]),
    row(Op::UnpackHigh, &[Lane::F32, Lane::I32, Lane::U32, Lane::F64, Lane::I64, Lane::U64], [
        Code::EVEX_Vunpckhps_xmm_k1z_xmm_xmmm128b32,
        Code::EVEX_Vunpckhps_ymm_k1z_ymm_ymmm256b32,
        Code::EVEX_Vunpckhps_zmm_k1z_zmm_zmmm512b32,
    ]),
    row(Op::PairLow, &[Lane::F32, Lane::I32, Lane::U32, Lane::F64, Lane::I64, Lane::U64], [
        Code::EVEX_Vunpcklpd_xmm_k1z_xmm_xmmm128b64,
        Code::EVEX_Vunpcklpd_ymm_k1z_ymm_ymmm256b64,
        Code::EVEX_Vunpcklpd_zmm_k1z_zmm_zmmm512b64,
    ]),
    row(Op::PairHigh, &[Lane::F32, Lane::I32, Lane::U32, Lane::F64, Lane::I64, Lane::U64], [
        Code::EVEX_Vunpckhpd_xmm_k1z_xmm_xmmm128b64,
        Code::EVEX_Vunpckhpd_ymm_k1z_ymm_ymmm256b64,
        Code::EVEX_Vunpckhpd_zmm_k1z_zmm_zmmm512b64,
    ]),
    row(Op::Groups, &[Lane::F32, Lane::I32, Lane::U32, Lane::F64, Lane::I64, Lane::U64], [
        Code::EVEX_Vshuff32x4_ymm_k1z_ymm_ymmm256b32_imm8,
        Code::EVEX_Vshuff32x4_ymm_k1z_ymm_ymmm256b32_imm8,
        Code::EVEX_Vshuff32x4_zmm_k1z_zmm_zmmm512b32_imm8,
    ]),
];
