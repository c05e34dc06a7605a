//! Trigonometric functions and their inverses.
//!
//! Made from `ir-spec/std/scalar_*.tir` by `TCC_BLESS=1 cargo test --test intrinsics`.

use super::{mulhi, select};

#[inline(always)]
pub(in crate::intrinsics) fn sin_f32_body(x: f32) -> f32 {
    let km = f32::mul_add(x, 0.63661975, 12582912.0);
    let k = km - 12582912.0;
    let i = f32::to_bits(km);
    let r1 = f32::mul_add(k, -1.5707964, x);
    let r2 = f32::mul_add(k, 4.371139e-8, r1);
    let r = f32::mul_add(k, 1.7151245e-15, r2);
    let z = r * r;
    let p = f32::mul_add(f32::mul_add(-0.00019507884, z, 0.008332106), z, -0.16666654);
    let q = f32::mul_add(f32::mul_add(2.4430676e-5, z, -0.0013887301), z, 0.041666646);
    let s = f32::mul_add(r * z, p, r);
    let c = f32::mul_add(f32::mul_add(z, q, -0.5), z, 1.0);
    let v = f32::to_bits(select((i & 1) != 0, c, s));
    let w = v ^ u32::wrapping_shl(i & 2, 30);
    select(x == 0.0, x, f32::from_bits(w))
}

#[inline(always)]
pub(in crate::intrinsics) fn sin_f32_common(x: f32) -> bool {
    f32::abs(x) <= 100000.0
}

#[cold]
pub(in crate::intrinsics) fn sin_f32_rare(x: f32) -> f32 {
    sin_f64(x as f64) as f32
}

#[inline(always)]
pub(in crate::intrinsics) fn sin_f64_body(x: f64) -> f64 {
    let km = f64::mul_add(x, 0.6366197723675814, 6755399441055744.0);
    let k = km - 6755399441055744.0;
    let i = f64::to_bits(km);
    let r1 = f64::mul_add(k, -1.5707963267948966, x);
    let wh = k * 6.123233995736766e-17;
    let r = r1 - wh;
    let wl = f64::mul_add(k, 6.123233995736766e-17, -wh);
    let d = ((r1 - r) - wh) - wl;
    let z = r * r;
    let l = f64::mul_add(k, 1.4973849048591698e-33, d);
    let p4 = f64::mul_add(1.589486055102511e-10, z, -2.5050725405809695e-8);
    let q4 = f64::mul_add(-1.13584449141432e-11, z, 2.087570072471442e-9);
    let p2 = f64::mul_add(f64::mul_add(p4, z, 2.755731348843532e-6), z, -0.00019841269829242632);
    let q2 = f64::mul_add(f64::mul_add(q4, z, -2.755731419187306e-7), z, 2.480158728894713e-5);
    let p = f64::mul_add(f64::mul_add(p2, z, 0.008333333333321749), z, -0.1666666666666663);
    let q = f64::mul_add(f64::mul_add(q2, z, -0.0013888888888873303), z, 0.041666666666666595);
    let s = f64::mul_add(r * z, p, l * f64::mul_add(z, -0.5, 1.0)) + r;
    let c = f64::mul_add(f64::mul_add(z, q, -0.5), z, -(r * l)) + 1.0;
    let v = f64::to_bits(select((i & 1) != 0, c, s));
    let w = v ^ u64::wrapping_shl(i & 2, 62);
    select(x == 0.0, x, f64::from_bits(w))
}

#[inline(always)]
pub(in crate::intrinsics) fn sin_f64_common(x: f64) -> bool {
    f64::abs(x) <= 1000000.0
}

#[cold]
pub(in crate::intrinsics) fn sin_f64_rare(x: f64) -> f64 {
    let b = f64::to_bits(x);
    let a = b & 9223372036854775807;
    let n = (a & 4503599627370495) | 4503599627370496;
    let at = u64::wrapping_sub(u64::wrapping_shr(a, 52), 1042);
    let h = at & 63;
    let c9 = (at & 512) != 0;
    let c8 = (at & 256) != 0;
    let c7 = (at & 128) != 0;
    let c6 = (at & 64) != 0;
    let w9_0 = select(c9, 11950135106572881412, 341782637);
    let w9_1 = select(c9, 15459713788809460423, 14540015043212536570);
    let w9_2 = select(c9, 3488714379813227505, 4514466891521872563);
    let w9_3 = select(c9, 8628656124737819391, 2848652144067357813);
    let w9_4 = select(c9, 18140696120184398385, 8923733867708583367);
    let w9_5 = select(c9, 7728543802006622169, 5208899348343629277);
    let w9_6 = select(c9, 16499325598328997868, 4700124427139136867);
    let w9_7 = select(c9, 15261570237999675224, 10819111850278405822);
    let w9_8 = select(c9, 18265683299519227710, 11950135106572881412);
    let w9_9 = select(c9, 17386799872102853622, 15459713788809460423);
    let w9_10 = select(c9, 2590039968873211400, 3488714379813227505);
    let hc = u64::wrapping_sub(63, h);
    let w8_0 = select(c8, w9_4, w9_0);
    let w8_1 = select(c8, w9_5, w9_1);
    let w8_2 = select(c8, w9_6, w9_2);
    let w8_3 = select(c8, w9_7, w9_3);
    let w8_4 = select(c8, w9_8, w9_4);
    let w8_5 = select(c8, w9_9, w9_5);
    let w8_6 = select(c8, w9_10, w9_6);
    let w7_0 = select(c7, w8_2, w8_0);
    let w7_1 = select(c7, w8_3, w8_1);
    let w7_2 = select(c7, w8_4, w8_2);
    let w7_3 = select(c7, w8_5, w8_3);
    let w7_4 = select(c7, w8_6, w8_4);
    let w6_0 = select(c6, w7_1, w7_0);
    let w6_1 = select(c6, w7_2, w7_1);
    let w6_2 = select(c6, w7_3, w7_2);
    let w6_3 = select(c6, w7_4, w7_3);
    let g0 = u64::wrapping_shl(w6_0, h as u32)
        | u64::wrapping_shr(u64::wrapping_shr(w6_1, 1), hc as u32);
    let g1 = u64::wrapping_shl(w6_1, h as u32)
        | u64::wrapping_shr(u64::wrapping_shr(w6_2, 1), hc as u32);
    let g2 = u64::wrapping_shl(w6_2, h as u32)
        | u64::wrapping_shr(u64::wrapping_shr(w6_3, 1), hc as u32);
    let m2 = mulhi(n, g2);
    let m1 = u64::wrapping_mul(n, g1);
    let m0 = u64::wrapping_add(u64::wrapping_mul(n, g0), mulhi(n, g1));
    let s1 = u64::wrapping_add(m1, m2);
    let s0 = u64::wrapping_add(m0, select(s1 < m1, 1, 0));
    let i0 = u64::wrapping_shr(u64::wrapping_add(s0, 2305843009213693952), 62);
    let t0 = u64::wrapping_sub(s0, u64::wrapping_shl(i0, 62));
    let i = select(x < 0.0, u64::wrapping_add(i0, 2), i0);
    let neg = ((t0) as i64) < 0;
    let flip = select(neg, 18446744073709551615, 0);
    let u0 = t0 ^ flip;
    let u1 = s1 ^ flip;
    let k0 = u64::wrapping_shr(u0, 32) as f64;
    let k1 = (u0 & 4294967295) as f64;
    let k2 = u64::wrapping_shr(u1, 32) as f64;
    let k3 = (u1 & 4294967295) as f64;
    let ka = k0 * 9.313225746154785e-10;
    let kb = f64::mul_add(k2, 5.048709793414476e-29, k1 * 2.168404344971009e-19);
    let kc = k3 * 1.1754943508222875e-38;
    let fh = ka + kb;
    let fl = ((ka - fh) + kb) + kc;
    let rh = fh * 1.5707963267948966;
    let rl = f64::mul_add(fh, 1.5707963267948966, -rh);
    let re = f64::mul_add(fh, 6.123233995736766e-17, rl);
    let rm = f64::mul_add(fl, 1.5707963267948966, re);
    let r0 = rh + rm;
    let l0 = (rh - r0) + rm;
    let r = select(neg, -r0, r0);
    let l = select(neg, -l0, l0);
    let z = r * r;
    let p4 = f64::mul_add(1.589486055102511e-10, z, -2.5050725405809695e-8);
    let q4 = f64::mul_add(-1.13584449141432e-11, z, 2.087570072471442e-9);
    let p2 = f64::mul_add(f64::mul_add(p4, z, 2.755731348843532e-6), z, -0.00019841269829242632);
    let q2 = f64::mul_add(f64::mul_add(q4, z, -2.755731419187306e-7), z, 2.480158728894713e-5);
    let p = f64::mul_add(f64::mul_add(p2, z, 0.008333333333321749), z, -0.1666666666666663);
    let q = f64::mul_add(f64::mul_add(q2, z, -0.0013888888888873303), z, 0.041666666666666595);
    let s = f64::mul_add(r * z, p, l * f64::mul_add(z, -0.5, 1.0)) + r;
    let c = f64::mul_add(f64::mul_add(z, q, -0.5), z, -(r * l)) + 1.0;
    let v = f64::to_bits(select((i & 1) != 0, c, s));
    let w = v ^ u64::wrapping_shl(i & 2, 62);
    select(f64::is_finite(x), f64::from_bits(w), f64::NAN)
}

#[inline(always)]
pub(in crate::intrinsics) fn cos_f32_body(x: f32) -> f32 {
    let km = f32::mul_add(x, 0.63661975, 12582912.0);
    let k = km - 12582912.0;
    let i = f32::to_bits(km);
    let r1 = f32::mul_add(k, -1.5707964, x);
    let i1 = u32::wrapping_add(i, 1);
    let r2 = f32::mul_add(k, 4.371139e-8, r1);
    let r = f32::mul_add(k, 1.7151245e-15, r2);
    let z = r * r;
    let p = f32::mul_add(f32::mul_add(-0.00019507884, z, 0.008332106), z, -0.16666654);
    let q = f32::mul_add(f32::mul_add(2.4430676e-5, z, -0.0013887301), z, 0.041666646);
    let s = f32::mul_add(r * z, p, r);
    let c = f32::mul_add(f32::mul_add(z, q, -0.5), z, 1.0);
    let v = f32::to_bits(select((i1 & 1) != 0, c, s));
    let w = v ^ u32::wrapping_shl(i1 & 2, 30);
    f32::from_bits(w)
}

#[inline(always)]
pub(in crate::intrinsics) fn cos_f32_common(x: f32) -> bool {
    f32::abs(x) <= 100000.0
}

#[cold]
pub(in crate::intrinsics) fn cos_f32_rare(x: f32) -> f32 {
    cos_f64(x as f64) as f32
}

#[inline(always)]
pub(in crate::intrinsics) fn cos_f64_body(x: f64) -> f64 {
    let km = f64::mul_add(x, 0.6366197723675814, 6755399441055744.0);
    let k = km - 6755399441055744.0;
    let i = f64::to_bits(km);
    let r1 = f64::mul_add(k, -1.5707963267948966, x);
    let wh = k * 6.123233995736766e-17;
    let i1 = u64::wrapping_add(i, 1);
    let r = r1 - wh;
    let wl = f64::mul_add(k, 6.123233995736766e-17, -wh);
    let d = ((r1 - r) - wh) - wl;
    let z = r * r;
    let l = f64::mul_add(k, 1.4973849048591698e-33, d);
    let p4 = f64::mul_add(1.589486055102511e-10, z, -2.5050725405809695e-8);
    let q4 = f64::mul_add(-1.13584449141432e-11, z, 2.087570072471442e-9);
    let p2 = f64::mul_add(f64::mul_add(p4, z, 2.755731348843532e-6), z, -0.00019841269829242632);
    let q2 = f64::mul_add(f64::mul_add(q4, z, -2.755731419187306e-7), z, 2.480158728894713e-5);
    let p = f64::mul_add(f64::mul_add(p2, z, 0.008333333333321749), z, -0.1666666666666663);
    let q = f64::mul_add(f64::mul_add(q2, z, -0.0013888888888873303), z, 0.041666666666666595);
    let s = f64::mul_add(r * z, p, l * f64::mul_add(z, -0.5, 1.0)) + r;
    let c = f64::mul_add(f64::mul_add(z, q, -0.5), z, -(r * l)) + 1.0;
    let v = f64::to_bits(select((i1 & 1) != 0, c, s));
    let w = v ^ u64::wrapping_shl(i1 & 2, 62);
    f64::from_bits(w)
}

#[inline(always)]
pub(in crate::intrinsics) fn cos_f64_common(x: f64) -> bool {
    f64::abs(x) <= 1000000.0
}

#[cold]
pub(in crate::intrinsics) fn cos_f64_rare(x: f64) -> f64 {
    let b = f64::to_bits(x);
    let a = b & 9223372036854775807;
    let n = (a & 4503599627370495) | 4503599627370496;
    let at = u64::wrapping_sub(u64::wrapping_shr(a, 52), 1042);
    let h = at & 63;
    let c9 = (at & 512) != 0;
    let c8 = (at & 256) != 0;
    let c7 = (at & 128) != 0;
    let c6 = (at & 64) != 0;
    let w9_0 = select(c9, 11950135106572881412, 341782637);
    let w9_1 = select(c9, 15459713788809460423, 14540015043212536570);
    let w9_2 = select(c9, 3488714379813227505, 4514466891521872563);
    let w9_3 = select(c9, 8628656124737819391, 2848652144067357813);
    let w9_4 = select(c9, 18140696120184398385, 8923733867708583367);
    let w9_5 = select(c9, 7728543802006622169, 5208899348343629277);
    let w9_6 = select(c9, 16499325598328997868, 4700124427139136867);
    let w9_7 = select(c9, 15261570237999675224, 10819111850278405822);
    let w9_8 = select(c9, 18265683299519227710, 11950135106572881412);
    let w9_9 = select(c9, 17386799872102853622, 15459713788809460423);
    let w9_10 = select(c9, 2590039968873211400, 3488714379813227505);
    let hc = u64::wrapping_sub(63, h);
    let w8_0 = select(c8, w9_4, w9_0);
    let w8_1 = select(c8, w9_5, w9_1);
    let w8_2 = select(c8, w9_6, w9_2);
    let w8_3 = select(c8, w9_7, w9_3);
    let w8_4 = select(c8, w9_8, w9_4);
    let w8_5 = select(c8, w9_9, w9_5);
    let w8_6 = select(c8, w9_10, w9_6);
    let w7_0 = select(c7, w8_2, w8_0);
    let w7_1 = select(c7, w8_3, w8_1);
    let w7_2 = select(c7, w8_4, w8_2);
    let w7_3 = select(c7, w8_5, w8_3);
    let w7_4 = select(c7, w8_6, w8_4);
    let w6_0 = select(c6, w7_1, w7_0);
    let w6_1 = select(c6, w7_2, w7_1);
    let w6_2 = select(c6, w7_3, w7_2);
    let w6_3 = select(c6, w7_4, w7_3);
    let g0 = u64::wrapping_shl(w6_0, h as u32)
        | u64::wrapping_shr(u64::wrapping_shr(w6_1, 1), hc as u32);
    let g1 = u64::wrapping_shl(w6_1, h as u32)
        | u64::wrapping_shr(u64::wrapping_shr(w6_2, 1), hc as u32);
    let g2 = u64::wrapping_shl(w6_2, h as u32)
        | u64::wrapping_shr(u64::wrapping_shr(w6_3, 1), hc as u32);
    let m2 = mulhi(n, g2);
    let m1 = u64::wrapping_mul(n, g1);
    let m0 = u64::wrapping_add(u64::wrapping_mul(n, g0), mulhi(n, g1));
    let s1 = u64::wrapping_add(m1, m2);
    let s0 = u64::wrapping_add(m0, select(s1 < m1, 1, 0));
    let i0 = u64::wrapping_shr(u64::wrapping_add(s0, 2305843009213693952), 62);
    let t0 = u64::wrapping_sub(s0, u64::wrapping_shl(i0, 62));
    let i = u64::wrapping_add(i0, 1);
    let neg = ((t0) as i64) < 0;
    let flip = select(neg, 18446744073709551615, 0);
    let u0 = t0 ^ flip;
    let u1 = s1 ^ flip;
    let k0 = u64::wrapping_shr(u0, 32) as f64;
    let k1 = (u0 & 4294967295) as f64;
    let k2 = u64::wrapping_shr(u1, 32) as f64;
    let k3 = (u1 & 4294967295) as f64;
    let ka = k0 * 9.313225746154785e-10;
    let kb = f64::mul_add(k2, 5.048709793414476e-29, k1 * 2.168404344971009e-19);
    let kc = k3 * 1.1754943508222875e-38;
    let fh = ka + kb;
    let fl = ((ka - fh) + kb) + kc;
    let rh = fh * 1.5707963267948966;
    let rl = f64::mul_add(fh, 1.5707963267948966, -rh);
    let re = f64::mul_add(fh, 6.123233995736766e-17, rl);
    let rm = f64::mul_add(fl, 1.5707963267948966, re);
    let r0 = rh + rm;
    let l0 = (rh - r0) + rm;
    let r = select(neg, -r0, r0);
    let l = select(neg, -l0, l0);
    let z = r * r;
    let p4 = f64::mul_add(1.589486055102511e-10, z, -2.5050725405809695e-8);
    let q4 = f64::mul_add(-1.13584449141432e-11, z, 2.087570072471442e-9);
    let p2 = f64::mul_add(f64::mul_add(p4, z, 2.755731348843532e-6), z, -0.00019841269829242632);
    let q2 = f64::mul_add(f64::mul_add(q4, z, -2.755731419187306e-7), z, 2.480158728894713e-5);
    let p = f64::mul_add(f64::mul_add(p2, z, 0.008333333333321749), z, -0.1666666666666663);
    let q = f64::mul_add(f64::mul_add(q2, z, -0.0013888888888873303), z, 0.041666666666666595);
    let s = f64::mul_add(r * z, p, l * f64::mul_add(z, -0.5, 1.0)) + r;
    let c = f64::mul_add(f64::mul_add(z, q, -0.5), z, -(r * l)) + 1.0;
    let v = f64::to_bits(select((i & 1) != 0, c, s));
    let w = v ^ u64::wrapping_shl(i & 2, 62);
    select(f64::is_finite(x), f64::from_bits(w), f64::NAN)
}

#[inline(always)]
pub(in crate::intrinsics) fn tan_f32_body(x: f32) -> f32 {
    let km = f32::mul_add(x, 0.63661975, 12582912.0);
    let k = km - 12582912.0;
    let i = f32::to_bits(km);
    let r1 = f32::mul_add(k, -1.5707964, x);
    let wh = k * -4.371139e-8;
    let o = (i & 1) != 0;
    let r = r1 - wh;
    let wl = f32::mul_add(k, -4.371139e-8, -wh);
    let d = ((r1 - r) - wh) - wl;
    let z = r * r;
    let l = f32::mul_add(k, 1.7151245e-15, d);
    let p = f32::mul_add(f32::mul_add(-0.00019507884, z, 0.008332106), z, -0.16666654);
    let q = f32::mul_add(f32::mul_add(2.4430676e-5, z, -0.0013887301), z, 0.041666646);
    let s = f32::mul_add(r * z, p, l * f32::mul_add(z, -0.5, 1.0)) + r;
    let c = f32::mul_add(f32::mul_add(z, q, -0.5), z, -(r * l)) + 1.0;
    let u = select(o, -c, s) / select(o, s, c);
    select(x == 0.0, x, u)
}

#[inline(always)]
pub(in crate::intrinsics) fn tan_f32_common(x: f32) -> bool {
    f32::abs(x) <= 100000.0
}

#[cold]
pub(in crate::intrinsics) fn tan_f32_rare(x: f32) -> f32 {
    tan_f64(x as f64) as f32
}

#[inline(always)]
pub(in crate::intrinsics) fn tan_f64_body(x: f64) -> f64 {
    let km = f64::mul_add(x, 0.6366197723675814, 6755399441055744.0);
    let k = km - 6755399441055744.0;
    let i = f64::to_bits(km);
    let r1 = f64::mul_add(k, -1.5707963267948966, x);
    let wh = k * 6.123233995736766e-17;
    let o = (i & 1) != 0;
    let r = r1 - wh;
    let wl = f64::mul_add(k, 6.123233995736766e-17, -wh);
    let d = ((r1 - r) - wh) - wl;
    let z = r * r;
    let l = f64::mul_add(k, 1.4973849048591698e-33, d);
    let p4 = f64::mul_add(1.589486055102511e-10, z, -2.5050725405809695e-8);
    let q4 = f64::mul_add(-1.13584449141432e-11, z, 2.087570072471442e-9);
    let p2 = f64::mul_add(f64::mul_add(p4, z, 2.755731348843532e-6), z, -0.00019841269829242632);
    let q2 = f64::mul_add(f64::mul_add(q4, z, -2.755731419187306e-7), z, 2.480158728894713e-5);
    let p = f64::mul_add(f64::mul_add(p2, z, 0.008333333333321749), z, -0.1666666666666663);
    let q = f64::mul_add(f64::mul_add(q2, z, -0.0013888888888873303), z, 0.041666666666666595);
    let s = f64::mul_add(r * z, p, l * f64::mul_add(z, -0.5, 1.0)) + r;
    let c = f64::mul_add(f64::mul_add(z, q, -0.5), z, -(r * l)) + 1.0;
    let u = select(o, -c, s) / select(o, s, c);
    select(x == 0.0, x, u)
}

#[inline(always)]
pub(in crate::intrinsics) fn tan_f64_common(x: f64) -> bool {
    f64::abs(x) <= 1000000.0
}

#[cold]
pub(in crate::intrinsics) fn tan_f64_rare(x: f64) -> f64 {
    sin_f64(x) / cos_f64(x)
}

#[inline(always)]
pub(in crate::intrinsics) fn asin_f32(x: f32) -> f32 {
    let a = f32::abs(x);
    let b = a > 0.5;
    let c = f32::mul_add(a, -0.5, 0.5);
    let z = select(b, c, a * a);
    let r = select(b, f32::sqrt(z), a);
    let p3 = f32::mul_add(0.04216506, z, 0.024181519);
    let p =
        f32::mul_add(f32::mul_add(f32::mul_add(p3, z, 0.04546964), z, 0.07495307), z, 0.16666752);
    let s = (r * z) * p;
    let v = 1.5707964 - ((2.0 * r) - f32::mul_add(-2.0, s, -4.371139e-8));
    f32::copysign(select(b, v, r + s), x)
}

#[inline(always)]
pub(in crate::intrinsics) fn asin_f64(x: f64) -> f64 {
    let a = f64::abs(x);
    let b = a > 0.5;
    let c = f64::mul_add(a, -0.5, 0.5);
    let z = select(b, c, a * a);
    let r = select(b, f64::sqrt(z), a);
    let p10 = f64::mul_add(0.031932262869398764, z, -0.016253001357853566);
    let p8 = f64::mul_add(f64::mul_add(p10, z, 0.019546314654543553), z, 0.006521481616267804);
    let p6 = f64::mul_add(f64::mul_add(p8, z, 0.012170688386376811), z, 0.013885014623453902);
    let p4 = f64::mul_add(f64::mul_add(p6, z, 0.017359726658367696), z, 0.022371756634358576);
    let p2 = f64::mul_add(f64::mul_add(p4, z, 0.0303819591942287), z, 0.04464285682699339);
    let p = f64::mul_add(f64::mul_add(p2, z, 0.0750000000033855), z, 0.16666666666665403);
    let s = (r * z) * p;
    let v = 1.5707963267948966 - ((2.0 * r) - f64::mul_add(-2.0, s, 6.123233995736766e-17));
    f64::copysign(select(b, v, r + s), x)
}

#[inline(always)]
pub(in crate::intrinsics) fn acos_f32(x: f32) -> f32 {
    let a = f32::abs(x);
    let b = a > 0.5;
    let c = f32::mul_add(a, -0.5, 0.5);
    let z = select(b, c, a * a);
    let r = select(b, f32::sqrt(z), x);
    let p3 = f32::mul_add(0.04216506, z, 0.024181519);
    let p =
        f32::mul_add(f32::mul_add(f32::mul_add(p3, z, 0.04546964), z, 0.07495307), z, 0.16666752);
    let s = (r * z) * p;
    let m = 1.5707964 - (r - (-4.371139e-8 - s));
    let v = 2.0 * (r + s);
    let w = 3.1415927 - ((2.0 * r) - f32::mul_add(-2.0, s, -8.742278e-8));
    select(b, select(x < 0.0, w, v), m)
}

#[inline(always)]
pub(in crate::intrinsics) fn acos_f64(x: f64) -> f64 {
    let a = f64::abs(x);
    let b = a > 0.5;
    let c = f64::mul_add(a, -0.5, 0.5);
    let z = select(b, c, a * a);
    let r = select(b, f64::sqrt(z), x);
    let p10 = f64::mul_add(0.031932262869398764, z, -0.016253001357853566);
    let p8 = f64::mul_add(f64::mul_add(p10, z, 0.019546314654543553), z, 0.006521481616267804);
    let p6 = f64::mul_add(f64::mul_add(p8, z, 0.012170688386376811), z, 0.013885014623453902);
    let p4 = f64::mul_add(f64::mul_add(p6, z, 0.017359726658367696), z, 0.022371756634358576);
    let p2 = f64::mul_add(f64::mul_add(p4, z, 0.0303819591942287), z, 0.04464285682699339);
    let p = f64::mul_add(f64::mul_add(p2, z, 0.0750000000033855), z, 0.16666666666665403);
    let s = (r * z) * p;
    let m = 1.5707963267948966 - (r - (6.123233995736766e-17 - s));
    let v = 2.0 * (r + s);
    let w = 3.141592653589793 - ((2.0 * r) - f64::mul_add(-2.0, s, 1.2246467991473532e-16));
    select(b, select(x < 0.0, w, v), m)
}

#[inline(always)]
pub(in crate::intrinsics) fn atan_f32(x: f32) -> f32 {
    let a = f32::abs(x);
    let b = a > 2.4142137;
    let c = a > 0.41421357;
    let n = select(b, -1.0, select(c, a - 1.0, a));
    let d = select(b, a, select(c, a + 1.0, 1.0));
    let oh = select(b, 1.5707964, select(c, 0.7853982, 0.0));
    let ol = select(b, -4.371139e-8, select(c, -2.1855694e-8, 0.0));
    let t = n / d;
    let z = t * t;
    let p3 = f32::mul_add(-0.06089588, z, 0.105990484);
    let p =
        f32::mul_add(f32::mul_add(f32::mul_add(p3, z, -0.14244384), z, 0.19998528), z, -0.33333316);
    let g = f32::mul_add(t * z, p, ol);
    f32::copysign(oh + (t + g), x)
}

#[inline(always)]
pub(in crate::intrinsics) fn atan_f64(x: f64) -> f64 {
    let a = f64::abs(x);
    let b = a > 2.414213562373095;
    let c = a > 0.41421356237309503;
    let n = select(b, -1.0, select(c, a - 1.0, a));
    let d = select(b, a, select(c, a + 1.0, 1.0));
    let oh = select(b, 1.5707963267948966, select(c, 0.7853981633974483, 0.0));
    let ol = select(b, 6.123233995736766e-17, select(c, 3.061616997868383e-17, 0.0));
    let t = n / d;
    let z = t * t;
    let p8 = f64::mul_add(
        f64::mul_add(-0.01786901085333061, z, 0.03802978240758161),
        z,
        -0.050379393525261766,
    );
    let p6 = f64::mul_add(f64::mul_add(p8, z, 0.05847586910748064), z, -0.06663062550494124);
    let p4 = f64::mul_add(f64::mul_add(p6, z, 0.07692056567210374), z, -0.09090897552780323);
    let p2 = f64::mul_add(f64::mul_add(p4, z, 0.11111110776340576), z, -0.14285714280054582);
    let p = f64::mul_add(f64::mul_add(p2, z, 0.19999999999952187), z, -0.3333333333333319);
    let g = f64::mul_add(t * z, p, ol);
    f64::copysign(oh + (t + g), x)
}

#[inline(always)]
pub(in crate::intrinsics) fn atan2_f32(y: f32, x: f32) -> f32 {
    let ay = f32::abs(y);
    let ax = f32::abs(x);
    let left = (f32::to_bits(x) as i32) < 0;
    let large = (ax > 4.2535296e37) | (ay > 4.2535296e37);
    let same = (ay == ax) & ((ay == f32::INFINITY) | (ay == 0.0));
    let v = select((ay == f32::INFINITY) & same, 1.0, select(large, 0.25 * ay, ay));
    let u0 = select(large, 0.25 * ax, ax);
    let u = select(same, 1.0, u0);
    let b = v > (2.4142137 * u);
    let c = v > (0.41421357 * u);
    let n = select(b, -u, select(c, v - u, v));
    let d = select(b, v, select(c, v + u, u));
    let oh = select(b, 1.5707964, select(c, 0.7853982, 0.0));
    let ol = select(b, -4.371139e-8, select(c, -2.1855694e-8, 0.0));
    let t = n / d;
    let z = t * t;
    let p3 = f32::mul_add(-0.06089588, z, 0.105990484);
    let p =
        f32::mul_add(f32::mul_add(f32::mul_add(p3, z, -0.14244384), z, 0.19998528), z, -0.33333316);
    let g = f32::mul_add(t * z, p, ol);
    let w = oh + (t + g);
    let back = (3.1415927 - oh) - (t + (g + 8.742278e-8));
    f32::copysign(select(left, back, w), y)
}

#[inline(always)]
pub(in crate::intrinsics) fn atan2_f64(y: f64, x: f64) -> f64 {
    let ay = f64::abs(y);
    let ax = f64::abs(x);
    let left = (f64::to_bits(x) as i64) < 0;
    let large = (ax > 1.1235582092889474e307) | (ay > 1.1235582092889474e307);
    let same = (ay == ax) & ((ay == f64::INFINITY) | (ay == 0.0));
    let v = select((ay == f64::INFINITY) & same, 1.0, select(large, 0.25 * ay, ay));
    let u0 = select(large, 0.25 * ax, ax);
    let u = select(same, 1.0, u0);
    let b = v > (2.414213562373095 * u);
    let c = v > (0.41421356237309503 * u);
    let n = select(b, -u, select(c, v - u, v));
    let d = select(b, v, select(c, v + u, u));
    let oh = select(b, 1.5707963267948966, select(c, 0.7853981633974483, 0.0));
    let ol = select(b, 6.123233995736766e-17, select(c, 3.061616997868383e-17, 0.0));
    let t = n / d;
    let z = t * t;
    let p8 = f64::mul_add(
        f64::mul_add(-0.01786901085333061, z, 0.03802978240758161),
        z,
        -0.050379393525261766,
    );
    let p6 = f64::mul_add(f64::mul_add(p8, z, 0.05847586910748064), z, -0.06663062550494124);
    let p4 = f64::mul_add(f64::mul_add(p6, z, 0.07692056567210374), z, -0.09090897552780323);
    let p2 = f64::mul_add(f64::mul_add(p4, z, 0.11111110776340576), z, -0.14285714280054582);
    let p = f64::mul_add(f64::mul_add(p2, z, 0.19999999999952187), z, -0.3333333333333319);
    let g = f64::mul_add(t * z, p, ol);
    let w = oh + (t + g);
    let back = (3.141592653589793 - oh) - (t + (g - 1.2246467991473532e-16));
    f64::copysign(select(left, back, w), y)
}

fn sin_f64(x: f64) -> f64 {
    if sin_f64_common(x) { sin_f64_body(x) } else { sin_f64_rare(x) }
}

fn cos_f64(x: f64) -> f64 {
    if cos_f64_common(x) { cos_f64_body(x) } else { cos_f64_rare(x) }
}

fn tan_f64(x: f64) -> f64 {
    if tan_f64_common(x) { tan_f64_body(x) } else { tan_f64_rare(x) }
}
