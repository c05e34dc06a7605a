//! Roots, exponentials and hyperbolic functions.
//!
//! Made from `ir-spec/std/scalar_*.tir` by `TCC_BLESS=1 cargo test --test intrinsics`.

use super::{select, to_i32};

#[inline(always)]
pub(in crate::intrinsics) fn rsqrt_f32(x: f32) -> f32 {
    1.0 / f32::sqrt(x)
}

#[inline(always)]
pub(in crate::intrinsics) fn rsqrt_f64(x: f64) -> f64 {
    1.0 / f64::sqrt(x)
}

#[inline(always)]
pub(in crate::intrinsics) fn cbrt_f32(x: f32) -> f32 {
    let a = f32::abs(x);
    let c = a < 8.077936e-28;
    let b = select(c, a * 4.7223665e21, select(a > 1.0, a * 8.6736174e-19, a));
    let i = (f32::to_bits(b) as i32) as f32;
    let j = to_i32(i * 0.33333334);
    let y0 = f32::from_bits((i32::wrapping_add(j, 709958652)) as u32);
    let y0c = (y0 * y0) * y0;
    let y1 = y0 * (f32::mul_add(2.0, b, y0c) / f32::mul_add(2.0, y0c, b));
    let q = y1 * y1;
    let ql = f32::mul_add(y1, y1, -q);
    let d = f32::mul_add(q, y1, -b);
    let dl = f32::mul_add(ql, y1, d);
    let v = y1 - (dl / (3.0 * q));
    let u = select(c, v * 5.9604645e-8, select(a > 1.0, v * 1048576.0, v));
    select((x == 0.0) | (!f32::is_finite(x)), x, f32::copysign(u, x))
}

#[inline(always)]
pub(in crate::intrinsics) fn cbrt_f64(x: f64) -> f64 {
    let a = f64::abs(x);
    let c = a < 1.1830521861667747e-271;
    let b = select(c, a * 5.846006549323612e48, select(a > 1.0, a * 4.909093465297727e-91, a));
    let i = f64::from_bits(u64::wrapping_shr(f64::to_bits(b), 12) | 4841369599423283200)
        - 4503599627370496.0;
    let j = f64::mul_add(i, 0.3333333333333333, 5253430273630011.0);
    let y0 = f64::from_bits(u64::wrapping_shl(f64::to_bits(j), 12));
    let y0c = (y0 * y0) * y0;
    let y1 = y0 * (f64::mul_add(2.0, b, y0c) / f64::mul_add(2.0, y0c, b));
    let y1c = (y1 * y1) * y1;
    let y2 = y1 * (f64::mul_add(2.0, b, y1c) / f64::mul_add(2.0, y1c, b));
    let q = y2 * y2;
    let ql = f64::mul_add(y2, y2, -q);
    let d = f64::mul_add(q, y2, -b);
    let dl = f64::mul_add(ql, y2, d);
    let v = y2 - (dl / (3.0 * q));
    let u = select(c, v * 5.551115123125783e-17, select(a > 1.0, v * 1.2676506002282294e30, v));
    select((x == 0.0) | (!f64::is_finite(x)), x, f64::copysign(u, x))
}

#[inline(always)]
pub(in crate::intrinsics) fn exp_f32(x: f32) -> f32 {
    let a0 = select(x > 89.0, 89.0, x);
    let a = select(a0 < -104.0, -104.0, a0);
    let km = f32::mul_add(a, 1.442695, 12582912.0);
    let k = km - 12582912.0;
    let rh = f32::mul_add(k, -0.69314575, a);
    let k1m = f32::mul_add(k, 0.5, 12582912.0);
    let r = f32::mul_add(k, -1.4286068e-6, rh);
    let k2m = (k - (k1m - 12582912.0)) + 12582912.0;
    let k1s = f32::from_bits(u32::wrapping_shl(u32::wrapping_add(f32::to_bits(k1m), 127), 23));
    let q3 = f32::mul_add(0.0013843321, r, 0.008369902);
    let k2s = f32::from_bits(u32::wrapping_shl(u32::wrapping_add(f32::to_bits(k2m), 127), 23));
    let q =
        f32::mul_add(f32::mul_add(f32::mul_add(q3, r, 0.041668016), r, 0.16666509), r, 0.49999994);
    let p = f32::mul_add(r * r, q, r) + 1.0;
    (p * k1s) * k2s
}

#[inline(always)]
pub(in crate::intrinsics) fn exp_f64(x: f64) -> f64 {
    let a0 = select(x > 710.0, 710.0, x);
    let a = select(a0 < -746.0, -746.0, a0);
    let km = f64::mul_add(a, 1.4426950408889634, 6755399441055744.0);
    let k = km - 6755399441055744.0;
    let rh = f64::mul_add(k, -0.6931471805598903, a);
    let k1m = f64::mul_add(k, 0.5, 6755399441055744.0);
    let r = f64::mul_add(k, -5.497923018708371e-14, rh);
    let k2m = (k - (k1m - 6755399441055744.0)) + 6755399441055744.0;
    let k1s = f64::from_bits(u64::wrapping_shl(u64::wrapping_add(f64::to_bits(k1m), 1023), 52));
    let q8 = f64::mul_add(2.501920159334637e-8, r, 2.7632218659396207e-7);
    let k2s = f64::from_bits(u64::wrapping_shl(u64::wrapping_add(f64::to_bits(k2m), 1023), 52));
    let q6 = f64::mul_add(f64::mul_add(q8, r, 2.7557540507049956e-6), r, 2.4801487923105834e-5);
    let q4 = f64::mul_add(f64::mul_add(q6, r, 0.00019841269541105347), r, 0.0013888888948227374);
    let q2 = f64::mul_add(f64::mul_add(q4, r, 0.008333333333486391), r, 0.04166666666651451);
    let q = f64::mul_add(f64::mul_add(q2, r, 0.16666666666666413), r, 0.5000000000000012);
    let p = f64::mul_add(r * r, q, r) + 1.0;
    (p * k1s) * k2s
}

#[inline(always)]
pub(in crate::intrinsics) fn exp2_f32(x: f32) -> f32 {
    let a0 = select(x > 129.0, 129.0, x);
    let a = select(a0 < -151.0, -151.0, a0);
    let km = a + 12582912.0;
    let k = km - 12582912.0;
    let r = a - k;
    let k1m = f32::mul_add(k, 0.5, 12582912.0);
    let q3 = f32::mul_add(f32::mul_add(0.00015468406, r, 0.0013392089), r, 0.00961806);
    let k2m = (k - (k1m - 12582912.0)) + 12582912.0;
    let k1s = f32::from_bits(u32::wrapping_shl(u32::wrapping_add(f32::to_bits(k1m), 127), 23));
    let q =
        f32::mul_add(f32::mul_add(f32::mul_add(q3, r, 0.055503573), r, 0.2402265), r, 0.6931472);
    let k2s = f32::from_bits(u32::wrapping_shl(u32::wrapping_add(f32::to_bits(k2m), 127), 23));
    let p = f32::mul_add(r, q, 1.0);
    (p * k1s) * k2s
}

#[inline(always)]
pub(in crate::intrinsics) fn exp2_f64(x: f64) -> f64 {
    let a0 = select(x > 1025.0, 1025.0, x);
    let a = select(a0 < -1076.0, -1076.0, a0);
    let km = a + 6755399441055744.0;
    let k = km - 6755399441055744.0;
    let r = a - k;
    let k1m = f64::mul_add(k, 0.5, 6755399441055744.0);
    let q10 = f64::mul_add(2.3607145489733974e-11, r, 4.474077593388698e-10);
    let k2m = (k - (k1m - 6755399441055744.0)) + 6755399441055744.0;
    let k1s = f64::from_bits(u64::wrapping_shl(u64::wrapping_add(f64::to_bits(k1m), 1023), 52));
    let q8 = f64::mul_add(f64::mul_add(q10, r, 7.056448787625778e-9), r, 1.0177933221800223e-7);
    let k2s = f64::from_bits(u64::wrapping_shl(u64::wrapping_add(f64::to_bits(k2m), 1023), 52));
    let q6 = f64::mul_add(f64::mul_add(q8, r, 1.3215482721820701e-6), r, 1.525273414829274e-5);
    let q4 = f64::mul_add(f64::mul_add(q6, r, 0.00015403530397933835), r, 0.0013333558146069572);
    let q2 = f64::mul_add(f64::mul_add(q4, r, 0.009618129107626626), r, 0.0555041086648232);
    let q = f64::mul_add(f64::mul_add(q2, r, 0.24022650695910072), r, 0.6931471805599453);
    let p = f64::mul_add(r, q, 1.0);
    (p * k1s) * k2s
}

#[inline(always)]
pub(in crate::intrinsics) fn expm1_f32(x: f32) -> f32 {
    let a0 = select(x > 89.0, 89.0, x);
    let a = select(a0 < -18.0, -18.0, a0);
    let km = f32::mul_add(a, 1.442695, 12582912.0);
    let k = km - 12582912.0;
    let rh = f32::mul_add(k, -0.69314575, a);
    let j = (k - 1.0) + 12582912.0;
    let r = f32::mul_add(k, -1.4286068e-6, rh);
    let s = f32::from_bits(u32::wrapping_shl(u32::wrapping_add(f32::to_bits(j), 127), 23));
    let q3 = f32::mul_add(f32::mul_add(0.00015226594, r, 0.0013930133), r, 0.008341108);
    let q = f32::mul_add(f32::mul_add(f32::mul_add(q3, r, 0.041666515), r, 0.16666637), r, 0.5);
    let p = f32::mul_add(r * r, q, r);
    let u = f32::mul_add(p, s, s - 0.5);
    f32::copysign(select(k == 0.0, p, u + u), x)
}

#[inline(always)]
pub(in crate::intrinsics) fn expm1_f64(x: f64) -> f64 {
    let a0 = select(x > 710.0, 710.0, x);
    let a = select(a0 < -38.0, -38.0, a0);
    let km = f64::mul_add(a, 1.4426950408889634, 6755399441055744.0);
    let k = km - 6755399441055744.0;
    let rh = f64::mul_add(k, -0.6931471805598903, a);
    let j = (k - 1.0) + 6755399441055744.0;
    let r = f64::mul_add(k, -5.497923018708371e-14, rh);
    let s = f64::from_bits(u64::wrapping_shl(u64::wrapping_add(f64::to_bits(j), 1023), 52));
    let q8 = f64::mul_add(
        f64::mul_add(2.0945332996490595e-9, r, 2.5111679179833307e-8),
        r,
        2.755717721586658e-7,
    );
    let q6 = f64::mul_add(f64::mul_add(q8, r, 2.7557236721168393e-6), r, 2.480158742794757e-5);
    let q4 = f64::mul_add(f64::mul_add(q6, r, 0.00019841269893359508), r, 0.0013888888888842301);
    let q2 = f64::mul_add(f64::mul_add(q4, r, 0.008333333333318932), r, 0.04166666666666672);
    let q = f64::mul_add(f64::mul_add(q2, r, 0.1666666666666668), r, 0.5);
    let p = f64::mul_add(r * r, q, r);
    let u = f64::mul_add(p, s, s - 0.5);
    f64::copysign(select(k == 0.0, p, u + u), x)
}

#[inline(always)]
pub(in crate::intrinsics) fn sinh_f32(x: f32) -> f32 {
    let v0 = f32::abs(x);
    let a = select(v0 > 89.7, 89.7, v0);
    let km = f32::mul_add(a, 1.442695, -0.15) + 12582912.0;
    let k = km - 12582912.0;
    let rh = f32::mul_add(k, -0.69314575, a);
    let jp = (k - 2.0) + 12582912.0;
    let j0 = (-k) - 2.0;
    let r = f32::mul_add(k, -1.4286068e-6, rh);
    let jn = select(j0 < -127.0, -127.0, j0) + 12582912.0;
    let e = f32::from_bits(u32::wrapping_shl(u32::wrapping_add(f32::to_bits(jp), 127), 23));
    let z = r * r;
    let d = f32::from_bits(u32::wrapping_shl(u32::wrapping_add(f32::to_bits(jn), 127), 23));
    let p = f32::mul_add(f32::mul_add(0.00019954982, z, 0.008333192), z, 0.16666667);
    let q = f32::mul_add(0.0013969202, z, 0.04166605);
    let m = e + d;
    let n = e - d;
    let s = f32::mul_add(r * z, p, r);
    let c = f32::mul_add(z, q, 0.5) * z;
    let u = n + f32::mul_add(m, s, n * c);
    f32::copysign(select(a < 0.00012207031, f32::abs(x), 2.0 * u), x)
}

#[inline(always)]
pub(in crate::intrinsics) fn sinh_f64(x: f64) -> f64 {
    let v0 = f64::abs(x);
    let a = select(v0 > 710.6, 710.6, v0);
    let km = f64::mul_add(a, 1.4426950408889634, -0.15) + 6755399441055744.0;
    let k = km - 6755399441055744.0;
    let rh = f64::mul_add(k, -0.6931471805598903, a);
    let jp = (k - 2.0) + 6755399441055744.0;
    let j0 = (-k) - 2.0;
    let r = f64::mul_add(k, -5.497923018708371e-14, rh);
    let jn = select(j0 < -1023.0, -1023.0, j0) + 6755399441055744.0;
    let e = f64::from_bits(u64::wrapping_shl(u64::wrapping_add(f64::to_bits(jp), 1023), 52));
    let z = r * r;
    let d = f64::from_bits(u64::wrapping_shl(u64::wrapping_add(f64::to_bits(jn), 1023), 52));
    let p2 = f64::mul_add(
        f64::mul_add(2.5150124182363427e-8, z, 2.7557097041426532e-6),
        z,
        0.00019841270069694846,
    );
    let q2 = f64::mul_add(
        f64::mul_add(2.0954098633515995e-9, z, 2.755712037358355e-7),
        z,
        2.480158754265225e-5,
    );
    let m = e + d;
    let n = e - d;
    let p = f64::mul_add(f64::mul_add(p2, z, 0.008333333333230932), z, 0.16666666666666816);
    let q = f64::mul_add(f64::mul_add(q2, z, 0.0013888888888753388), z, 0.04166666666666694);
    let s = f64::mul_add(r * z, p, r);
    let c = f64::mul_add(z, q, 0.5) * z;
    let u = n + f64::mul_add(m, s, n * c);
    f64::copysign(select(a < 3.725290298461914e-9, f64::abs(x), 2.0 * u), x)
}

#[inline(always)]
pub(in crate::intrinsics) fn cosh_f32(x: f32) -> f32 {
    let v0 = f32::abs(x);
    let a = select(v0 > 89.7, 89.7, v0);
    let km = f32::mul_add(a, 1.442695, -0.15) + 12582912.0;
    let k = km - 12582912.0;
    let rh = f32::mul_add(k, -0.69314575, a);
    let jp = (k - 2.0) + 12582912.0;
    let j0 = (-k) - 2.0;
    let r = f32::mul_add(k, -1.4286068e-6, rh);
    let jn = select(j0 < -127.0, -127.0, j0) + 12582912.0;
    let e = f32::from_bits(u32::wrapping_shl(u32::wrapping_add(f32::to_bits(jp), 127), 23));
    let z = r * r;
    let d = f32::from_bits(u32::wrapping_shl(u32::wrapping_add(f32::to_bits(jn), 127), 23));
    let p = f32::mul_add(f32::mul_add(0.00019954982, z, 0.008333192), z, 0.16666667);
    let q = f32::mul_add(0.0013969202, z, 0.04166605);
    let m = e + d;
    let n = e - d;
    let s = f32::mul_add(r * z, p, r);
    let c = f32::mul_add(z, q, 0.5) * z;
    let u = m + f32::mul_add(n, s, m * c);
    2.0 * u
}

#[inline(always)]
pub(in crate::intrinsics) fn cosh_f64(x: f64) -> f64 {
    let v0 = f64::abs(x);
    let a = select(v0 > 710.6, 710.6, v0);
    let km = f64::mul_add(a, 1.4426950408889634, -0.15) + 6755399441055744.0;
    let k = km - 6755399441055744.0;
    let rh = f64::mul_add(k, -0.6931471805598903, a);
    let jp = (k - 2.0) + 6755399441055744.0;
    let j0 = (-k) - 2.0;
    let r = f64::mul_add(k, -5.497923018708371e-14, rh);
    let jn = select(j0 < -1023.0, -1023.0, j0) + 6755399441055744.0;
    let e = f64::from_bits(u64::wrapping_shl(u64::wrapping_add(f64::to_bits(jp), 1023), 52));
    let z = r * r;
    let d = f64::from_bits(u64::wrapping_shl(u64::wrapping_add(f64::to_bits(jn), 1023), 52));
    let p2 = f64::mul_add(
        f64::mul_add(2.5150124182363427e-8, z, 2.7557097041426532e-6),
        z,
        0.00019841270069694846,
    );
    let q2 = f64::mul_add(
        f64::mul_add(2.0954098633515995e-9, z, 2.755712037358355e-7),
        z,
        2.480158754265225e-5,
    );
    let m = e + d;
    let n = e - d;
    let p = f64::mul_add(f64::mul_add(p2, z, 0.008333333333230932), z, 0.16666666666666816);
    let q = f64::mul_add(f64::mul_add(q2, z, 0.0013888888888753388), z, 0.04166666666666694);
    let s = f64::mul_add(r * z, p, r);
    let c = f64::mul_add(z, q, 0.5) * z;
    let u = m + f64::mul_add(n, s, m * c);
    2.0 * u
}

#[inline(always)]
pub(in crate::intrinsics) fn tanh_f32(x: f32) -> f32 {
    let v0 = f32::abs(x);
    let a = select(v0 > 10.0, 10.0, v0);
    let km = f32::mul_add(a, 1.442695, -0.15) + 12582912.0;
    let k = km - 12582912.0;
    let rh = f32::mul_add(k, -0.69314575, a);
    let jp = (k - 2.0) + 12582912.0;
    let j0 = (-k) - 2.0;
    let b = k > 1.0;
    let r = f32::mul_add(k, -1.4286068e-6, rh);
    let jn = select(j0 < -127.0, -127.0, j0) + 12582912.0;
    let e = f32::from_bits(u32::wrapping_shl(u32::wrapping_add(f32::to_bits(jp), 127), 23));
    let z = r * r;
    let d = f32::from_bits(u32::wrapping_shl(u32::wrapping_add(f32::to_bits(jn), 127), 23));
    let p = f32::mul_add(f32::mul_add(0.00019954982, z, 0.008333192), z, 0.16666667);
    let q = f32::mul_add(0.0013969202, z, 0.04166605);
    let m = e + d;
    let n = e - d;
    let s = f32::mul_add(r * z, p, r);
    let c = f32::mul_add(z, q, 0.5) * z;
    let u = n + f32::mul_add(m, s, n * c);
    let v = m + f32::mul_add(n, s, m * c);
    let w = (2.0 * d) * (1.0 + (c - s));
    let o = select(b, w, u) / v;
    f32::copysign(select(b, 1.0 - o, select(a < 0.00012207031, a, o)), x)
}

#[inline(always)]
pub(in crate::intrinsics) fn tanh_f64(x: f64) -> f64 {
    let v0 = f64::abs(x);
    let a = select(v0 > 20.0, 20.0, v0);
    let km = f64::mul_add(a, 1.4426950408889634, -0.15) + 6755399441055744.0;
    let k = km - 6755399441055744.0;
    let rh = f64::mul_add(k, -0.6931471805598903, a);
    let jp = (k - 2.0) + 6755399441055744.0;
    let j0 = (-k) - 2.0;
    let b = k > 1.0;
    let r = f64::mul_add(k, -5.497923018708371e-14, rh);
    let jn = select(j0 < -1023.0, -1023.0, j0) + 6755399441055744.0;
    let e = f64::from_bits(u64::wrapping_shl(u64::wrapping_add(f64::to_bits(jp), 1023), 52));
    let z = r * r;
    let d = f64::from_bits(u64::wrapping_shl(u64::wrapping_add(f64::to_bits(jn), 1023), 52));
    let p2 = f64::mul_add(
        f64::mul_add(2.5150124182363427e-8, z, 2.7557097041426532e-6),
        z,
        0.00019841270069694846,
    );
    let q2 = f64::mul_add(
        f64::mul_add(2.0954098633515995e-9, z, 2.755712037358355e-7),
        z,
        2.480158754265225e-5,
    );
    let m = e + d;
    let n = e - d;
    let p = f64::mul_add(f64::mul_add(p2, z, 0.008333333333230932), z, 0.16666666666666816);
    let q = f64::mul_add(f64::mul_add(q2, z, 0.0013888888888753388), z, 0.04166666666666694);
    let s = f64::mul_add(r * z, p, r);
    let c = f64::mul_add(z, q, 0.5) * z;
    let u = n + f64::mul_add(m, s, n * c);
    let v = m + f64::mul_add(n, s, m * c);
    let w = (2.0 * d) * (1.0 + (c - s));
    let o = select(b, w, u) / v;
    f64::copysign(select(b, 1.0 - o, select(a < 3.725290298461914e-9, a, o)), x)
}
