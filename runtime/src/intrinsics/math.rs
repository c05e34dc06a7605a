//! Strips of transcendental functions.

use super::expansion::{error, exponential, logarithm, trigonometric};
use super::strip::{Checked, Elementwise, Map, Partial, Pointwise, maps};
use super::tier::{Row, row};

maps! {
    RsqrtF32 "tcc_rsqrt_f32" (x: f32) -> f32 { exponential::rsqrt_f32(x) }
    RsqrtF64 "tcc_rsqrt_f64" (x: f64) -> f64 { exponential::rsqrt_f64(x) }
    CbrtF32 "tcc_cbrt_f32" (x: f32) -> f32 { exponential::cbrt_f32(x) }
    CbrtF64 "tcc_cbrt_f64" (x: f64) -> f64 { exponential::cbrt_f64(x) }
    ExpF32 "tcc_exp_f32" (x: f32) -> f32 { exponential::exp_f32(x) }
    ExpF64 "tcc_exp_f64" (x: f64) -> f64 { exponential::exp_f64(x) }
    Exp2F32 "tcc_exp2_f32" (x: f32) -> f32 { exponential::exp2_f32(x) }
    Exp2F64 "tcc_exp2_f64" (x: f64) -> f64 { exponential::exp2_f64(x) }
    Expm1F32 "tcc_expm1_f32" (x: f32) -> f32 { exponential::expm1_f32(x) }
    Expm1F64 "tcc_expm1_f64" (x: f64) -> f64 { exponential::expm1_f64(x) }
    SinhF32 "tcc_sinh_f32" (x: f32) -> f32 { exponential::sinh_f32(x) }
    SinhF64 "tcc_sinh_f64" (x: f64) -> f64 { exponential::sinh_f64(x) }
    CoshF32 "tcc_cosh_f32" (x: f32) -> f32 { exponential::cosh_f32(x) }
    CoshF64 "tcc_cosh_f64" (x: f64) -> f64 { exponential::cosh_f64(x) }
    TanhF32 "tcc_tanh_f32" (x: f32) -> f32 { exponential::tanh_f32(x) }
    TanhF64 "tcc_tanh_f64" (x: f64) -> f64 { exponential::tanh_f64(x) }
    LogF32 "tcc_log_f32" (x: f32) -> f32 { logarithm::log_f32(x) }
    LogF64 "tcc_log_f64" (x: f64) -> f64 { logarithm::log_f64(x) }
    Log2F32 "tcc_log2_f32" (x: f32) -> f32 { logarithm::log2_f32(x) }
    Log2F64 "tcc_log2_f64" (x: f64) -> f64 { logarithm::log2_f64(x) }
    Log10F32 "tcc_log10_f32" (x: f32) -> f32 { logarithm::log10_f32(x) }
    Log10F64 "tcc_log10_f64" (x: f64) -> f64 { logarithm::log10_f64(x) }
    Log1pF32 "tcc_log1p_f32" (x: f32) -> f32 { logarithm::log1p_f32(x) }
    Log1pF64 "tcc_log1p_f64" (x: f64) -> f64 { logarithm::log1p_f64(x) }
    PowF32 "tcc_pow_f32" (x, y: f32) -> f32 { logarithm::pow_f32(x, y) }
    PowF64 "tcc_pow_f64" (x, y: f64) -> f64 { logarithm::pow_f64(x, y) }
    AsinhF32 "tcc_asinh_f32" (x: f32) -> f32 { logarithm::asinh_f32(x) }
    AsinhF64 "tcc_asinh_f64" (x: f64) -> f64 { logarithm::asinh_f64(x) }
    AcoshF32 "tcc_acosh_f32" (x: f32) -> f32 { logarithm::acosh_f32(x) }
    AcoshF64 "tcc_acosh_f64" (x: f64) -> f64 { logarithm::acosh_f64(x) }
    AtanhF32 "tcc_atanh_f32" (x: f32) -> f32 { logarithm::atanh_f32(x) }
    AtanhF64 "tcc_atanh_f64" (x: f64) -> f64 { logarithm::atanh_f64(x) }
    AsinF32 "tcc_asin_f32" (x: f32) -> f32 { trigonometric::asin_f32(x) }
    AsinF64 "tcc_asin_f64" (x: f64) -> f64 { trigonometric::asin_f64(x) }
    AcosF32 "tcc_acos_f32" (x: f32) -> f32 { trigonometric::acos_f32(x) }
    AcosF64 "tcc_acos_f64" (x: f64) -> f64 { trigonometric::acos_f64(x) }
    AtanF32 "tcc_atan_f32" (x: f32) -> f32 { trigonometric::atan_f32(x) }
    AtanF64 "tcc_atan_f64" (x: f64) -> f64 { trigonometric::atan_f64(x) }
    Atan2F32 "tcc_atan2_f32" (y, x: f32) -> f32 { trigonometric::atan2_f32(y, x) }
    Atan2F64 "tcc_atan2_f64" (y, x: f64) -> f64 { trigonometric::atan2_f64(y, x) }
    ErfF32 "tcc_erf_f32" (x: f32) -> f32 { error::erf_f32(x) }
    ErfF64 "tcc_erf_f64" (x: f64) -> f64 { error::erf_f64(x) }
    ErfcF32 "tcc_erfc_f32" (x: f32) -> f32 { error::erfc_f32(x) }
    ErfcF64 "tcc_erfc_f64" (x: f64) -> f64 { error::erfc_f64(x) }
}

/// A function with rare arguments: a name, and the parts of its expansion.
macro_rules! partial {
    ($($name:ident $float:ty: $common:ident $is_common:ident $rare:ident)*) => {
        $(
            struct $name;

            impl Partial for $name {
                type Float = $float;

                #[inline(always)]
                fn common(x: $float) -> $float {
                    trigonometric::$common(x)
                }

                #[inline(always)]
                fn is_common(x: $float) -> bool {
                    trigonometric::$is_common(x)
                }

                fn rare(x: $float) -> $float {
                    trigonometric::$rare(x)
                }
            }
        )*
    };
}

partial! {
    SinF32 f32: sin_f32_body sin_f32_common sin_f32_rare
    SinF64 f64: sin_f64_body sin_f64_common sin_f64_rare
    CosF32 f32: cos_f32_body cos_f32_common cos_f32_rare
    CosF64 f64: cos_f64_body cos_f64_common cos_f64_rare
    TanF32 f32: tan_f32_body tan_f32_common tan_f32_rare
    TanF64 f64: tan_f64_body tan_f64_common tan_f64_rare
}

/// The functions with rare arguments.
pub(super) const PARTIAL: &[Row] = &[
    row::<Elementwise<Checked<SinF32>, 1>>("tcc_sin_f32"),
    row::<Elementwise<Checked<SinF64>, 1>>("tcc_sin_f64"),
    row::<Elementwise<Checked<CosF32>, 1>>("tcc_cos_f32"),
    row::<Elementwise<Checked<CosF64>, 1>>("tcc_cos_f64"),
    row::<Elementwise<Checked<TanF32>, 1>>("tcc_tan_f32"),
    row::<Elementwise<Checked<TanF64>, 1>>("tcc_tan_f64"),
];
